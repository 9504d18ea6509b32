//! The hub's answers in JSON, whole and bounded.

use reqwest::header::LINK;
use reqwest::{Response, Url};
use serde::de::DeserializeOwned;
use tokio::time::{sleep, timeout};

use super::Client;
use super::answer::{Asked, encoding, is_html};
use super::client::{Answer, Arrival, Asking, broken};
use super::repo::shown;
use crate::error::HubError;

/// The largest answer, in bytes.
const MAX_JSON: u64 = 64 << 20;

/// One page of an answer.
pub(super) struct Page<T> {
    pub value: T,
    /// The next page's query: the rest of its URL is this page's.
    pub next: Option<String>,
}

impl Client {
    /// Asks for JSON, repeatedly if need be.
    pub(super) async fn json<T: DeserializeOwned>(
        &self,
        url: &Url,
        asked: Asked<'_>,
    ) -> Result<Page<T>, HubError> {
        self.json_by(url, Asking::Bytes(None), asked).await
    }

    /// The same by a request of any kind.
    pub(super) async fn json_by<T: DeserializeOwned>(
        &self,
        url: &Url,
        asking: Asking<'_>,
        asked: Asked<'_>,
    ) -> Result<Page<T>, HubError> {
        let mut failures = 0;
        loop {
            let error = match self.json_once(url, asking, asked).await {
                Ok(page) => return Ok(page),
                Err(error) => error,
            };
            failures += 1;
            let Some(pause) = self.retry().pause(failures, &error) else { return Err(error) };
            sleep(pause).await;
        }
    }

    async fn json_once<T: DeserializeOwned>(
        &self,
        url: &Url,
        asking: Asking<'_>,
        asked: Asked<'_>,
    ) -> Result<Page<T>, HubError> {
        let answer = match self.ask_hub(url.clone(), asking).await? {
            Arrival::Answer(answer) => answer,
            // A hub may have moved; without the token, its new place says what is public.
            Arrival::Left(url) => self.ask_elsewhere(url, None).await?,
        };
        if answer.response.status() != 200 {
            return Err(if answer.response.status().is_success() {
                strange(&answer.url, format!("status {}", answer.response.status().as_u16()))
            } else {
                self.refused(answer, asked).await
            });
        }
        let Answer { url, mut response, .. } = answer;
        if let Some(encoding) = encoding(response.headers()) {
            return Err(strange(&url, format!("the answer is encoded ({encoding:?})")));
        }
        if is_html(response.headers()) {
            return Err(strange(&url, "an HTML page instead of JSON".to_owned()));
        }
        let body = self.collect(&url, &mut response).await?;
        let value = serde_json::from_slice(&body)
            .map_err(|e| strange(&url, format!("not the JSON it should be: {e}")))?;
        let next = response
            .headers()
            .get_all(LINK)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .find_map(next_query);
        Ok(Page { value, next })
    }

    async fn collect(&self, url: &Url, response: &mut Response) -> Result<Vec<u8>, HubError> {
        let too_large =
            || HubError::TooLarge { url: shown(url), limit: MAX_JSON >> 20, unit: "MiB" };
        let expected = response.content_length();
        if expected.is_some_and(|length| length > MAX_JSON) {
            return Err(too_large());
        }
        let stall = self.config().stall;
        let mut body = Vec::new();
        loop {
            let frame = match timeout(stall, response.chunk()).await {
                Ok(Ok(frame)) => frame,
                Ok(Err(e)) => return Err(broken(url, &e)),
                Err(_) => return Err(HubError::Stalled { url: shown(url), waited: stall }),
            };
            let Some(frame) = frame else { return Ok(body) };
            if (body.len() + frame.len()) as u64 > MAX_JSON {
                return Err(too_large());
            }
            body.extend_from_slice(&frame);
        }
    }
}

pub(super) fn strange(url: &Url, what: String) -> HubError {
    HubError::Protocol { url: shown(url), what }
}

/// The query of the link that is called `next` (RFC 8288), of which there may be others:
/// `<https://hub/api/…?limit=1000&cursor=x>; rel="next", <…>; rel="last"`.
///
/// Only the query is taken. A page's successor is at the same place, whatever host a mirror's or a
/// proxy's link names; so a link leads nowhere else.
fn next_query(mut links: &str) -> Option<String> {
    while let Some((_, rest)) = links.split_once('<') {
        let (target, rest) = rest.split_once('>')?;
        // Parameters end at a comma outside quotes.
        let mut quoted = false;
        let end = rest
            .find(|c| {
                quoted ^= c == '"';
                c == ',' && !quoted
            })
            .unwrap_or(rest.len());
        let (parameters, rest) = rest.split_at_checked(end)?;
        let next = parameters.split(';').any(|parameter| {
            parameter.split_once('=').is_some_and(|(name, value)| {
                let mut relations = value.trim().trim_matches('"').split_ascii_whitespace();
                name.trim().eq_ignore_ascii_case("rel")
                    && relations.any(|rel| rel.eq_ignore_ascii_case("next"))
            })
        });
        if next {
            let query = target.split('#').next().unwrap_or_default().split_once('?')?.1;
            return Some(query.to_owned());
        }
        links = rest;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found_among_links() {
        for (links, query) in [
            ("<https://h/api?limit=2&cursor=a%3D>; rel=\"next\"", Some("limit=2&cursor=a%3D")),
            ("</api?cursor=a>;rel=next", Some("cursor=a")),
            ("<?cursor=a#x>; title=\"a, b\"; REL=\"last Next\"", Some("cursor=a")),
            ("<h?a=1>; rel=\"prev\", <h?a=3,4>; rel=\"next\", <h?a=9>; rel=last", Some("a=3,4")),
            ("<h?a=1>; rel=\"prev,next\", <h?a=2>; rel=first", None),
            ("<h?a=1>; rel=prev", None),
            ("<h>; rel=next", None),
            ("<h?a; rel=next", None),
            ("", None),
        ] {
            assert_eq!(next_query(links).as_deref(), query, "{links}");
        }
    }
}
