//! Who may ask for what.
//!
//! A page of another site can have a browser send requests here. It cannot choose the `Host` of
//! these, so a name that is not this server's is refused: that is all of DNS rebinding. It cannot
//! hide its `Origin`. And it cannot add headers of its own without asking first, which is never
//! granted; so what changes something must have one.

use std::net::{IpAddr, SocketAddr};

use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::{HeaderMap, Method, StatusCode};

use super::fault::Fault;
use crate::digest::BlobHash;
use crate::error::ServeError;
use crate::hub::Token;

/// What a request that changes something must have.
pub(super) const PROOF: &str = "x-tonnage";

/// Who may read and who may change, by whom the tokens belong to.
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    /// The tokens' hashes, and the hub's tokens that they stand for. What is compared is hashes, so time
    /// tells nothing about a token.
    known: Vec<(BlobHash, Option<Token>)>,
}

impl Tokens {
    /// Reads a token from each line of `text`, and behind it the hub's token that it stands for, if
    /// there is one. Empty lines and those that begin with `#` are left out. `path` is for errors.
    ///
    /// # Errors
    /// [`ServeError::Tokens`] when a line is something else, or no token is there.
    pub fn parse(text: &str, path: &str) -> Result<Self, ServeError> {
        let refuse = |why: String| ServeError::Tokens { path: path.to_owned(), why };
        let mut known = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let words: Vec<_> = line.split_ascii_whitespace().collect();
            let stands_for = match words.as_slice() {
                [] => continue,
                [first, ..] if first.starts_with('#') => continue,
                [_] => None,
                [_, hub] => Some(Token::new(hub, path)?),
                _ => return Err(refuse(format!("line {} has more than two words", number + 1))),
            };
            let Some(token) = words.first().filter(|token| token.len() >= 8) else {
                return Err(refuse(format!("the token in line {} is too short", number + 1)));
            };
            known.push((BlobHash::of(token.as_bytes()), stands_for));
        }
        if known.is_empty() {
            return Err(refuse("it has no token".to_owned()));
        }
        Ok(Self { known })
    }

    fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    fn find(&self, secret: &str) -> Option<&Option<Token>> {
        let hash = BlobHash::of(secret.as_bytes());
        self.known.iter().find(|(known, _)| *known == hash).map(|(_, hub)| hub)
    }
}

/// Who asks.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    /// What the hub is asked with for them.
    pub token: Option<Token>,
    /// Whether they may look after the store, and not only read models.
    pub trusted: bool,
}

/// The rules.
#[derive(Debug)]
pub(super) struct Guard {
    pub tokens: Tokens,
    pub public_read: bool,
    /// Names that this server is reached by, in lower case.
    pub hosts: Vec<String>,
}

impl Guard {
    /// Who asks, if they may ask at all.
    pub fn admit(&self, headers: &HeaderMap, peer: IpAddr) -> Result<Caller, Fault> {
        self.check_host(headers)?;
        let bearer = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, secret)| secret.trim())
            .filter(|secret| !secret.is_empty());
        if let Some(hub) = bearer.and_then(|secret| self.tokens.find(secret)) {
            return Ok(Caller { token: hub.clone(), trusted: true });
        }
        if !self.tokens.is_empty() && !self.public_read {
            return Err(Fault::bad_token());
        }
        let token = match bearer {
            Some(secret) => Some(Token::new(secret, "").map_err(|_| Fault::bad_token())?),
            None => None,
        };
        let trusted = self.tokens.is_empty() && peer.to_canonical().is_loopback();
        Ok(Caller { token, trusted })
    }

    /// Whether a request for the page itself, which has nobody's data and asks for the token, may be
    /// answered: whoever asks, by a name of this server.
    pub fn admit_page(&self, headers: &HeaderMap) -> Result<(), Fault> {
        self.check_host(headers)
    }

    /// Whether a request to look after the store is one, and does not come from somebody else's page.
    pub fn check_change(
        &self,
        method: &Method,
        headers: &HeaderMap,
        caller: &Caller,
    ) -> Result<(), Fault> {
        if !caller.trusted {
            return Err(Fault::bad_token());
        }
        self.check_origin(headers)?;
        if method != Method::GET && method != Method::HEAD && !headers.contains_key(PROOF) {
            let message = "a request that changes something needs the header X-Tonnage: 1";
            return Err(Fault::new(StatusCode::FORBIDDEN, message));
        }
        Ok(())
    }

    fn check_host(&self, headers: &HeaderMap) -> Result<(), Fault> {
        let refuse = || Fault::new(StatusCode::MISDIRECTED_REQUEST, "this server has another name");
        let mut hosts = headers.get_all(HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else { return Err(refuse()) };
        let host = host.to_str().map_err(|_| refuse())?;
        if self.is_ours(without_port(host)) { Ok(()) } else { Err(refuse()) }
    }

    /// An address is no name that somebody's DNS could answer for.
    fn is_ours(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(&host);
        bare.parse::<IpAddr>().is_ok() || host == "localhost" || self.hosts.contains(&host)
    }

    fn check_origin(&self, headers: &HeaderMap) -> Result<(), Fault> {
        let refuse = || Fault::new(StatusCode::FORBIDDEN, "another site's page asked for this");
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        if text("sec-fetch-site").is_some_and(|site| !["same-origin", "none"].contains(&site)) {
            return Err(refuse());
        }
        let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
        let host = text("host").unwrap_or_default();
        let same = origin.to_str().ok().and_then(|origin| origin.split_once("://")).is_some_and(
            |(scheme, name)| ["http", "https"].contains(&scheme) && name.eq_ignore_ascii_case(host),
        );
        if same { Ok(()) } else { Err(refuse()) }
    }
}

/// Whether somebody must say who may read before this address is listened on.
pub(super) fn is_exposed(addr: SocketAddr, tokens: &Tokens, public_read: bool) -> bool {
    !addr.ip().to_canonical().is_loopback() && tokens.is_empty() && !public_read
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.ends_with(':') => {
            name
        }
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 7));

    fn guard(tokens: &str, public_read: bool) -> Guard {
        let tokens = if tokens.is_empty() {
            Tokens::default()
        } else {
            Tokens::parse(tokens, "tokens").unwrap()
        };
        Guard { tokens, public_read, hosts: vec!["mirror.lab".to_owned()] }
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let header = |(name, value): &(&'static str, &str)| {
            (axum::http::HeaderName::from_static(name), value.parse().unwrap())
        };
        pairs.iter().map(header).collect()
    }

    #[test]
    fn a_name_that_is_not_this_servers_is_refused() {
        let guard = guard("", false);
        for host in [
            "127.0.0.1:7070",
            "localhost",
            "LOCALHOST:1",
            "[::1]:7070",
            "10.1.2.3",
            "mirror.lab:80",
        ] {
            assert!(guard.admit(&headers(&[("host", host)]), HERE).is_ok(), "{host}");
        }
        for host in
            ["evil.test", "evil.test:7070", "127.0.0.1.evil.test", "localhost.evil.test", ""]
        {
            let refused = guard.admit(&headers(&[("host", host)]), HERE).unwrap_err();
            assert_eq!(refused.status, 421, "{host}");
        }
        assert!(guard.admit(&headers(&[]), HERE).is_err());
    }

    #[test]
    fn a_token_says_who_may_look_after_the_store() {
        let ask = |guard: &Guard, token: Option<&str>, peer| {
            let bearer = token.map(|token| format!("Bearer {token}")).unwrap_or_default();
            let mut pairs = vec![("host", "localhost")];
            if token.is_some() {
                pairs.push(("authorization", bearer.as_str()));
            }
            guard.admit(&headers(&pairs), peer)
        };
        let open = guard("", false);
        assert!(ask(&open, None, HERE).unwrap().trusted);
        assert!(!ask(&open, None, THERE).unwrap().trusted);
        // Without tokens of its own what is sent is the hub's.
        assert!(ask(&open, Some("hf_abc"), HERE).unwrap().token.is_some());
        let closed = guard("# ours\nmirror-one\nmirror-two hf_two\n", false);
        assert_eq!(ask(&closed, None, HERE).unwrap_err().status, 401);
        assert_eq!(ask(&closed, Some("mirror-six"), HERE).unwrap_err().status, 401);
        let one = ask(&closed, Some("mirror-one"), THERE).unwrap();
        assert!(one.trusted && one.token.is_none());
        assert!(ask(&closed, Some("mirror-two"), THERE).unwrap().token.is_some());
        let readable = guard("mirror-one", true);
        assert!(!ask(&readable, None, HERE).unwrap().trusted);
        assert!(ask(&readable, Some("mirror-one"), HERE).unwrap().trusted);
    }

    #[test]
    fn another_sites_page_can_do_nothing() {
        let guard = guard("", false);
        let caller = Caller { token: None, trusted: true };
        let allowed = |method: Method, pairs: &[(&'static str, &str)]| {
            let mut all = vec![("host", "localhost:7070")];
            all.extend(pairs);
            guard.check_change(&method, &headers(&all), &caller).is_ok()
        };
        let proof = ("x-tonnage", "1");
        assert!(allowed(Method::GET, &[]));
        assert!(allowed(Method::POST, &[proof]));
        assert!(allowed(Method::POST, &[proof, ("origin", "http://localhost:7070")]));
        assert!(!allowed(Method::POST, &[]));
        for origin in ["http://evil.test", "null", "http://localhost:1", "http://localhost"] {
            assert!(!allowed(Method::POST, &[proof, ("origin", origin)]), "{origin}");
            assert!(!allowed(Method::GET, &[("origin", origin)]), "{origin}");
        }
        assert!(!allowed(Method::GET, &[("sec-fetch-site", "cross-site")]));
        let stranger = Caller { token: None, trusted: false };
        assert!(guard.check_change(&Method::GET, &headers(&[]), &stranger).is_err());
    }

    #[test]
    fn a_file_of_tokens_is_read_strictly() {
        for bad in ["", "# nothing\n", "short", "token-one hf_a more"] {
            assert!(Tokens::parse(bad, "tokens").is_err(), "{bad}");
        }
    }
}
