//! Where a redirect may lead.

use reqwest::Url;

use super::repo::shown;
use crate::error::HubError;

/// How many redirects one request may take.
const MAX_HOPS: usize = 10;

/// The places a request has been at.
pub(super) struct Trail {
    seen: Vec<Url>,
}

impl Trail {
    pub(super) fn new(start: Url) -> Self {
        Self { seen: vec![start] }
    }

    /// Where it is now.
    pub(super) fn here(&self) -> Option<&Url> {
        self.seen.last()
    }

    /// Follows a `Location`, relative or absolute.
    ///
    /// An encrypted connection never leads to an open one: nobody between must be able to change
    /// where a token or a digest comes from.
    pub(super) fn follow(&mut self, location: Option<&str>) -> Result<(), HubError> {
        let (Some(start), Some(here)) = (self.seen.first(), self.seen.last()) else {
            return Ok(());
        };
        let url = shown(here);
        let Some(next) = location.and_then(|location| here.join(location).ok()) else {
            let what = "a redirect to nowhere".to_owned();
            return Err(HubError::Protocol { url, what });
        };
        let safe = match next.scheme() {
            "https" => true,
            "http" => here.scheme() == "http",
            _ => false,
        };
        if !safe || !next.username().is_empty() || next.password().is_some() {
            return Err(HubError::UnsafeRedirect { url, to: shown(&next) });
        }
        if self.seen.len() > MAX_HOPS || self.seen.contains(&next) {
            return Err(HubError::RedirectLoop { url: shown(start) });
        }
        self.seen.push(next);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trail(start: &str) -> Trail {
        Trail::new(start.parse().unwrap())
    }

    #[test]
    fn locations_are_relative_or_absolute() {
        let mut at = trail("https://hub.test/o/n/resolve/main/f?x=1");
        at.follow(Some("/api/resolve-cache/f?etag=%22a%22")).unwrap();
        assert_eq!(
            at.here().unwrap().as_str(),
            "https://hub.test/api/resolve-cache/f?etag=%22a%22"
        );
        at.follow(Some("https://cdn.test/f?Signature=s")).unwrap();
        assert_eq!(at.here().unwrap().host_str(), Some("cdn.test"));
        at.follow(Some("g")).unwrap();
        assert_eq!(at.here().unwrap().as_str(), "https://cdn.test/g");
    }

    #[test]
    fn unsafe_places_are_not_visited() {
        for bad in ["http://hub.test/f", "file:///etc/passwd", "https://u:p@cdn.test/", "data:,x"] {
            let error = trail("https://hub.test/f").follow(Some(bad)).unwrap_err();
            assert!(matches!(error, HubError::UnsafeRedirect { .. }), "{bad}: {error}");
        }
        for bad in [None, Some("https://["), Some("http://")] {
            let error = trail("http://hub.test/f").follow(bad).unwrap_err();
            assert!(matches!(error, HubError::Protocol { .. }), "{bad:?}: {error}");
        }
        trail("http://hub.test/f").follow(Some("https://cdn.test/f")).unwrap();
        trail("http://hub.test/f").follow(Some("http://cdn.test/f")).unwrap();
    }

    #[test]
    fn circles_and_endless_roads_end() {
        let mut at = trail("http://hub.test/a");
        at.follow(Some("b")).unwrap();
        assert!(matches!(at.follow(Some("a")), Err(HubError::RedirectLoop { .. })));
        let mut at = trail("http://hub.test/start");
        for hop in 0..MAX_HOPS {
            at.follow(Some(&hop.to_string())).unwrap();
        }
        assert!(matches!(at.follow(Some("end")), Err(HubError::RedirectLoop { .. })));
    }
}
