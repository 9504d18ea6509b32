//! What the user can do when the hub or the network failed.

use super::HubError;

impl HubError {
    /// What the user can do next.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotFound { with_token: false, .. } => {
                "check the spelling; if it is private, export HF_TOKEN".to_owned()
            }
            Self::NotFound { with_token: true, .. } => {
                "check the spelling; if it is private, the token must be of somebody who may read it"
                    .to_owned()
            }
            Self::Unauthorized { .. } => "export HF_TOKEN".to_owned(),
            Self::BadToken { .. } => {
                "it may have expired: make a new one and export HF_TOKEN".to_owned()
            }
            Self::Gated { page, with_token: false, .. } => {
                format!("accept the licence at {page}, then export HF_TOKEN")
            }
            Self::Gated { page, with_token: true, .. } => {
                format!("ask for access at {page} with the account of this token")
            }
            Self::Refused { status: 403, .. } => "check what the token may do".to_owned(),
            Self::Refused { status: 407, .. } => {
                "the proxy wants to know who asks: HTTPS_PROXY=http://user:password@host:port"
                    .to_owned()
            }
            Self::RevisionNotFound { .. } => {
                "check the spelling: a branch, a tag, refs/pr/N or a commit".to_owned()
            }
            Self::RateLimited { retry_after: Some(after), .. } => {
                format!("try again in {} s; a token raises the limit", after.as_secs())
            }
            Self::RateLimited { retry_after: None, .. } => {
                "try again in some minutes; a token raises the limit".to_owned()
            }
            Self::Network { .. } | Self::Stalled { .. } | Self::Cut { .. } => {
                "check the connection, HF_ENDPOINT and HTTPS_PROXY; what was fetched is kept: pull again"
                    .to_owned()
            }
            Self::Certificate { .. } => {
                "check the clock, the system's certificates and HTTPS_PROXY".to_owned()
            }
            Self::Server { .. } | Self::LinkRefused { .. } => {
                "try again later; what was fetched is kept".to_owned()
            }
            Self::TooLarge { unit: "files", .. } => {
                "a repository of so many small files is for git to fetch".to_owned()
            }
            Self::Protocol { .. }
            | Self::RedirectLoop { .. }
            | Self::UnsafeRedirect { .. }
            | Self::TooLarge { .. } => {
                "check HF_ENDPOINT and HTTPS_PROXY: this is not how the hub answers".to_owned()
            }
            Self::HostileName { .. } | Self::Twins { .. } => {
                "do not trust this model; tell its owner".to_owned()
            }
            Self::Offline { .. } => "unset HF_HUB_OFFLINE, or leave out --offline".to_owned(),
            Self::Refused { .. } => {
                "check HF_ENDPOINT and HTTPS_PROXY; a hub's reason is in its message".to_owned()
            }
            Self::FileNotFound { .. } => {
                "the hub lists it and does not have it: try again later, or leave it out with --exclude"
                    .to_owned()
            }
            Self::Disabled { .. } | Self::Setting { .. } => return None,
        })
    }
}
