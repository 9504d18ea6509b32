//! The way out: which requests go through a proxy, and through which one.

use std::fmt;
use std::sync::Arc;

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::{NoProxy, Url};

use crate::error::HubError;

/// The way out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Proxy {
    /// No proxy.
    #[default]
    None,
    /// As the environment of the process says, and, where the system has settings of its own, as
    /// they say. The only variant that has the HTTP library look there.
    System,
    /// These.
    Given(Proxies),
}

/// Proxies by what they are for. What a proxy is told to know its user by is not shown by `Debug`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    http: Option<Url>,
    https: Option<Url>,
    not_for: String,
}

impl Proxies {
    /// What `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` say, each also in lower case;
    /// `None` when they name no proxy. Variables are looked up with `env`. In a CGI program
    /// (`REQUEST_METHOD` is set) they are not heeded: there a request's header may be one of them.
    ///
    /// A proxy is a URL, `http://` if it does not say so, and may have a user and a password.
    /// `NO_PROXY` has addresses, networks (`10.0.0.0/8`) and names with all that is below them, with
    /// commas between; `*` is everything.
    ///
    /// # Errors
    /// [`HubError::Setting`] with the variable's name, when its value is no such proxy.
    pub fn from_variables(env: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, HubError> {
        let first = |upper: &str| {
            let lower = upper.to_ascii_lowercase();
            [upper, &lower].into_iter().find_map(|name| Some((name.to_owned(), env(name)?)))
        };
        if env("REQUEST_METHOD").is_some() {
            return Ok(None);
        }
        let proxy = |name: &str| {
            let found = first(name).map(|(name, text)| (name, text.trim().to_owned()));
            found.filter(|(_, text)| !text.is_empty()).map(|(name, text)| parse(&name, &text))
        };
        let not_for = first("NO_PROXY").map(|(_, text)| text).unwrap_or_default();
        if not_for.split(',').any(|entry| entry.trim() == "*") {
            // An address is something, too.
            return Ok(Some(Self::default()));
        }
        let mut http = proxy("HTTP_PROXY").transpose()?;
        let mut https = proxy("HTTPS_PROXY").transpose()?;
        // Where both are named it is for other programs, and may be of a kind that this one has no
        // use for.
        if http.is_none() || https.is_none() {
            let all = proxy("ALL_PROXY").transpose()?;
            http = http.or_else(|| all.clone());
            https = https.or(all);
        }
        if http.is_none() && https.is_none() {
            return Ok(None);
        }
        Ok(Some(Self { http, https, not_for }))
    }
}

/// The proxy that a variable names. Its text is not shown: a password may be in it.
fn parse(name: &str, text: &str) -> Result<Url, HubError> {
    let bad = |why: &str| HubError::Setting { setting: name.to_owned(), why: why.to_owned() };
    let url = if text.contains("://") { text.parse() } else { format!("http://{text}").parse() };
    let url: Url = url.map_err(|_| bad("it is no URL of a proxy, such as http://host:3128"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(bad("a proxy is spoken to by http or https only"));
    }
    Ok(url)
}

/// Scheme, host and port.
fn place(url: &Url) -> String {
    let port = url.port().map_or(String::new(), |port| format!(":{port}"));
    format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default())
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxies")
            .field("http", &self.http.as_ref().map(place))
            .field("https", &self.https.as_ref().map(place))
            .field("not_for", &self.not_for)
            .finish()
    }
}

/// The proxies of a client, by which its errors name the one that a request went through.
#[derive(Clone)]
pub(super) struct Way(Option<Arc<Matcher>>);

impl Way {
    pub(super) fn new(proxy: &Proxy) -> Self {
        Self(match proxy {
            Proxy::None => None,
            Proxy::System => Some(Arc::new(Matcher::from_system())),
            Proxy::Given(Proxies { http, https, not_for }) => {
                let text = |url: &Option<Url>| url.as_ref().map(Url::to_string).unwrap_or_default();
                let matcher = Matcher::builder().http(text(http)).https(text(https));
                Some(Arc::new(matcher.no(not_for.clone()).build()))
            }
        })
    }

    /// The proxy of requests for `url`: scheme, host and port.
    pub(super) fn of(&self, url: &Url) -> Option<String> {
        let proxy = self.0.as_ref()?.intercept(&url.as_str().parse().ok()?)?;
        let uri = proxy.uri();
        Some(format!("{}://{}", uri.scheme_str()?, uri.authority()?))
    }
}

impl Proxy {
    /// Has the HTTP library go this way, and no other.
    pub(super) fn apply(
        &self,
        http: reqwest::ClientBuilder,
    ) -> reqwest::Result<reqwest::ClientBuilder> {
        Ok(match self {
            Self::System => http,
            Self::None => http.no_proxy(),
            Self::Given(Proxies { http: open, https: encrypted, not_for }) => {
                let mut http = http.no_proxy();
                let except = |proxy: reqwest::Proxy| proxy.no_proxy(NoProxy::from_string(not_for));
                if let Some(url) = open {
                    http = http.proxy(except(reqwest::Proxy::http(url.clone())?));
                }
                if let Some(url) = encrypted {
                    http = http.proxy(except(reqwest::Proxy::https(url.clone())?));
                }
                http
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(variables: &[(&str, &str)]) -> Result<Option<Proxies>, HubError> {
        Proxies::from_variables(|name| {
            variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn of(variables: &[(&str, &str)], url: &str) -> Option<String> {
        Way::new(&Proxy::Given(from(variables).unwrap().unwrap())).of(&url.parse().unwrap())
    }

    #[test]
    fn a_request_goes_the_way_that_the_variables_say() {
        let both = [("HTTP_PROXY", "open:1"), ("https_proxy", "http://u:p@enc:2/")];
        assert_eq!(of(&both, "http://hub.test/x").unwrap(), "http://open:1");
        assert_eq!(of(&both, "https://hub.test/x").unwrap(), "http://enc:2");
        let all = [("all_proxy", "http://all"), ("NO_PROXY", "a.test, 10.0.0.0/8")];
        assert_eq!(of(&all, "https://hub.test/x").unwrap(), "http://all");
        for direct in ["https://a.test/", "http://b.a.test/", "http://10.1.2.3:80/"] {
            assert_eq!(of(&all, direct), None, "{direct}");
        }
        assert_eq!(of(&[("HTTP_PROXY", "open:1")], "https://hub.test/"), None);
        assert_eq!(of(&[("HTTP_PROXY", "open:1"), ("NO_PROXY", "a, *")], "http://10.0.0.1/"), None);
    }

    #[test]
    fn variables_that_name_no_proxy_are_none() {
        for none in [&[][..], &[("NO_PROXY", "a")], &[("HTTP_PROXY", " ")]] {
            assert_eq!(from(none).unwrap(), None, "{none:?}");
        }
        assert_eq!(from(&[("REQUEST_METHOD", "GET"), ("HTTP_PROXY", "evil:1")]).unwrap(), None);
    }

    #[test]
    fn a_proxy_for_all_that_nothing_uses_may_be_of_any_kind() {
        let socks = ("all_proxy", "socks5://127.0.0.1:7890");
        let both = [("http_proxy", "http://h:1"), ("https_proxy", "http://h:2"), socks];
        assert_eq!(of(&both, "https://hub.test/x").unwrap(), "http://h:2");
        assert!(from(&[("http_proxy", "http://h:1"), socks]).is_err());
    }

    #[test]
    fn what_is_no_proxy_is_named_by_its_variable_and_not_shown() {
        for bad in ["http://u:secret@", "socks5://u:secret@h:1", "http://u:secret@h:port"] {
            let error = from(&[("ALL_PROXY", bad)]).unwrap_err().to_string();
            assert!(error.contains("ALL_PROXY") && !error.contains("secret"), "{error}");
        }
        let shown = format!("{:?}", from(&[("ALL_PROXY", "http://u:secret@h:1")]));
        assert!(shown.contains("h:1") && !shown.contains("secret"), "{shown}");
    }
}
