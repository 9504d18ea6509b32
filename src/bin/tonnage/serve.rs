//! `tonnage serve`

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};
use serde::Serialize;
use tonnage::error::{ErrorKind, ServeError};
use tonnage::serve::{Options, Server, Tokens};

use crate::context::Context;
use crate::fail::{Exit, Failure};
use crate::hub_args::HubArgs;

/// How often it is looked whether somebody wants it to stop.
const TICK: Duration = Duration::from_millis(100);

#[derive(clap::Args)]
#[command(after_help = "Examples:
  tonnage serve
  HF_ENDPOINT=http://127.0.0.1:7070 hf download org/name
  tonnage serve --addr 0.0.0.0:7070 --token-file tokens
  tonnage serve --offline

Any client of the hub downloads through it by HF_ENDPOINT: what the store has
is served from there, and what it does not have is fetched once, whoever asks,
and stored on its way. The page to look after the store is at the same address.

The hub is asked with each caller's own token. Ctrl-C lets running transfers
end; a second one does not.")]
pub struct Args {
    /// Where to listen; port 0 is one of the system's choice
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:7070")]
    addr: SocketAddr,
    /// A file of tokens, one a line, of which every request must have one; behind it may stand the
    /// hub's token that it stands for
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Let anybody who reaches the address read what is public at the hub, and what was added here
    #[arg(long)]
    public_read: bool,
    /// A name by which others reach this server, beside its addresses
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,
    /// Ask no hub: serve what is here
    #[arg(long)]
    offline: bool,
    #[command(flatten)]
    hub: HubArgs,
}

/// Tells where it listens.
#[derive(Serialize)]
struct Listening<'a> {
    url: &'a str,
    store: &'a Path,
    endpoint: &'a str,
    offline: bool,
}

pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let hub = args.hub.config(args.offline, context)?;
    let tokens = match &args.token_file {
        Some(path) => read_tokens(path)?,
        None => Tokens::default(),
    };
    let store = Arc::new(context.fill()?);
    let (endpoint, offline) = (hub.endpoint.clone(), hub.offline);
    let Args { public_read, hosts, .. } = args;
    let options = Options { hub, tokens, public_read, hosts };
    raise_limit();
    crate::log::begin(context.out);
    // Before anybody can connect: the first signal is the word to stop.
    context.interrupt.catch();
    let server = Server::bind(store.clone(), options, args.addr)?;
    let addr = server.addr().map_err(|e| Failure::new(ErrorKind::Failure, e.to_string()))?;
    let url = format!("http://{addr}");
    let listening = Listening { url: &url, store: store.path(), endpoint: &endpoint, offline };
    context.out.summary(&listening, || {
        let hub = if offline { "offline".to_owned() } else { format!("with what {endpoint} has") };
        format!(
            "serving {} at {url}, {hub}\nclients come here by HF_ENDPOINT={url}\n",
            store.path().display()
        )
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("tonnage-serve")
        .enable_all()
        .build()
        .map_err(|e| Failure::new(ErrorKind::Failure, format!("cannot start threads: {e}")))?;
    let stop = async {
        while !context.interrupt.asked() {
            tokio::time::sleep(TICK).await;
        }
        context.out.note("stopping when running transfers are over");
    };
    runtime
        .block_on(server.run(stop))
        .map_err(|e| Failure::new(ErrorKind::Failure, e.to_string()))?;
    Ok(Exit::Done)
}

fn read_tokens(path: &Path) -> Result<Tokens, Failure> {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|e| ServeError::Tokens { path: shown.clone(), why: e.to_string() })?;
    Ok(Tokens::parse(&text, &shown)?)
}

/// Every connection is a file descriptor, and so is what it is sent.
fn raise_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // With fewer it serves fewer.
    let _ = setrlimit(Resource::Nofile, limit);
}

impl From<ServeError> for Failure {
    fn from(e: ServeError) -> Self {
        let failure = Self::new(e.kind(), e.to_string());
        match e.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}
