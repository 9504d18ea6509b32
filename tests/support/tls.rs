//! An encrypted door to a server on loopback, with an authority of its own that signed its
//! certificate.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

/// A door, open until it is dropped.
pub struct Tls {
    address: SocketAddr,
    /// The authority's certificate, for whoever is to trust it.
    pub authority: String,
    knocks: Arc<AtomicUsize>,
    _runtime: Runtime,
}

impl Tls {
    /// A door to the server at `to` (`127.0.0.1:port`), whose certificate is for `name`.
    pub fn to(to: &str, name: &str) -> Self {
        let (config, authority) = certificates(name);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let knocks = Arc::<AtomicUsize>::default();
        let (to, counted) = (to.to_owned(), knocks.clone());
        runtime.spawn(async move {
            let acceptor = TlsAcceptor::from(Arc::new(config));
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let (acceptor, to) = (acceptor.clone(), to.clone());
                tokio::spawn(async move {
                    let mut inside = acceptor.accept(stream).await?;
                    let mut server = TcpStream::connect(to).await?;
                    copy_bidirectional(&mut inside, &mut server).await
                });
            }
        });
        Self { address, authority, knocks, _runtime: runtime }
    }

    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// How many connections were made to it.
    pub fn knocks(&self) -> usize {
        self.knocks.load(Ordering::SeqCst)
    }
}

/// What a server is told, and the certificate of the authority behind it.
fn certificates(name: &str) -> (ServerConfig, String) {
    let mut ours = CertificateParams::default();
    ours.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ours.distinguished_name = DistinguishedName::new();
    ours.distinguished_name.push(DnType::CommonName, "a test's authority");
    let key = KeyPair::generate().unwrap();
    let authority = ours.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(ours, key);
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key.into())
        .unwrap();
    (config, authority)
}
