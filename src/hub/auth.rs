//! The token, and where it and the other settings of the hub's own clients are found.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Config, Proxies, Proxy};
use crate::error::HubError;

/// What opens private and gated repositories. It is never shown: not by `Debug`, not in errors.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The token that `text` is, without white space around it. `setting` says where it is from.
    ///
    /// # Errors
    /// When nothing remains, or something that a token cannot have.
    pub fn new(text: &str, setting: &str) -> Result<Self, HubError> {
        let text = text.trim();
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(HubError::Setting {
                setting: setting.to_owned(),
                why: "a token has letters, digits and punctuation only, and at least one"
                    .to_owned(),
            });
        }
        Ok(Self(text.to_owned()))
    }

    /// What tells it from others, and does not tell what it is.
    #[cfg(feature = "serve")]
    pub(crate) fn fingerprint(&self) -> crate::digest::BlobHash {
        crate::digest::BlobHash::of(self.0.as_bytes())
    }

    /// For the header, and for finding it where it must not be.
    pub(super) fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// What the environment says about the hub, by the names and in the order that its own clients use.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Discovery {
    /// `HF_ENDPOINT`.
    pub endpoint: Option<String>,
    /// `HF_TOKEN`, `HUGGING_FACE_HUB_TOKEN`, or the file that `HF_TOKEN_PATH` names, or `token` in the
    /// hub's directory. None when `HF_HUB_DISABLE_IMPLICIT_TOKEN` is set.
    pub token: Option<Token>,
    /// Where the token was found: a variable's name or a file's path.
    pub token_from: Option<String>,
    /// `HF_HUB_OFFLINE`.
    pub offline: bool,
    /// `HF_HUB_DOWNLOAD_TIMEOUT`, in seconds.
    pub stall: Option<Duration>,
    /// Where the hub's own clients keep models: `HF_HUB_CACHE`, `HUGGINGFACE_HUB_CACHE`, or `hub` in
    /// the hub's directory.
    pub cache: Option<PathBuf>,
    /// `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, as [`Proxies::from_variables`] reads
    /// them.
    pub proxy: Proxy,
}

impl Discovery {
    /// Looks variables up with `env`; `home` is the user's home directory. A token's file is read,
    /// no other.
    ///
    /// The hub's directory is `HF_HOME`, else `huggingface` in `XDG_CACHE_HOME`, else
    /// `.cache/huggingface` in `home`; only the first of these that is set is looked into, so who
    /// sets `HF_HOME` does not meet another account's token.
    ///
    /// # Errors
    /// [`HubError::Setting`] when a token's file cannot be read, or does not hold a token, and when a
    /// variable for a proxy does not name one.
    pub fn new(
        env: impl Fn(&str) -> Option<String>,
        home: Option<&Path>,
    ) -> Result<Self, HubError> {
        let set = |name: &str| env(name).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty());
        let yes = |name: &str| {
            set(name).is_some_and(|v| {
                ["1", "ON", "YES", "TRUE"].contains(&v.to_ascii_uppercase().as_str())
            })
        };
        let path = |text: String| match (text.strip_prefix("~/"), home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => PathBuf::from(text),
        };
        let directory = set("HF_HOME")
            .map(path)
            .or_else(|| Some(path(set("XDG_CACHE_HOME")?).join("huggingface")))
            .or_else(|| Some(home?.join(".cache/huggingface")));
        let file =
            set("HF_TOKEN_PATH").map(path).or_else(|| Some(directory.as_ref()?.join("token")));
        let found = if yes("HF_HUB_DISABLE_IMPLICIT_TOKEN") {
            None
        } else if let Some((name, text)) = ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"]
            .into_iter()
            .find_map(|name| Some((name, set(name)?)))
        {
            Some((Token::new(&text, name)?, name.to_owned()))
        } else {
            file.and_then(|file| from_file(&file).transpose()).transpose()?
        };
        let (token, token_from) = found.unzip();
        Ok(Self {
            endpoint: set("HF_ENDPOINT"),
            token,
            token_from,
            offline: yes("HF_HUB_OFFLINE"),
            stall: set("HF_HUB_DOWNLOAD_TIMEOUT")
                .and_then(|v| v.parse().ok())
                .filter(|&seconds| seconds > 0)
                .map(Duration::from_secs),
            cache: set("HF_HUB_CACHE")
                .or_else(|| set("HUGGINGFACE_HUB_CACHE"))
                .map(path)
                .or_else(|| Some(directory?.join("hub"))),
            proxy: Proxies::from_variables(&env)?.map_or(Proxy::None, Proxy::Given),
        })
    }

    /// A client's configuration with these settings.
    #[must_use]
    pub fn config(&self) -> Config {
        let default = Config::default();
        Config {
            endpoint: self.endpoint.clone().unwrap_or(default.endpoint),
            token: self.token.clone(),
            stall: self.stall.unwrap_or(default.stall),
            offline: self.offline,
            proxy: self.proxy.clone(),
            ..default
        }
    }
}

/// The token in `file`, if there is one.
fn from_file(file: &Path) -> Result<Option<(Token, String)>, HubError> {
    let name = file.display().to_string();
    match std::fs::read_to_string(file) {
        Ok(text) if text.trim().is_empty() => Ok(None),
        Ok(text) => Ok(Some((Token::new(&text, &name)?, name))),
        // A home that is a file, or is not there, has no token either.
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(e) => Err(HubError::Setting { setting: name, why: format!("cannot read it: {e}") }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn discover(vars: &[(&str, &str)], home: &Path) -> Result<Discovery, HubError> {
        let get = |name: &str| {
            vars.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())
        };
        Discovery::new(get, Some(home))
    }

    fn write(path: &Path, token: &str) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, token).unwrap();
    }

    #[test]
    fn tokens_are_found_in_the_order_of_the_hubs_own_clients() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path();
        let at = |name: &str| home.join(name).to_str().unwrap().to_owned();
        write(&home.join(".cache/huggingface/token"), "hf_home\n");
        write(&home.join("xdg/huggingface/token"), " hf_xdg ");
        write(&home.join("hf/token"), "hf_hf");
        write(&home.join("named"), "hf_named");
        let all = [
            ("HF_TOKEN", "hf_env ", "hf_env", "HF_TOKEN"),
            ("HUGGING_FACE_HUB_TOKEN", "hf_old", "hf_old", "HUGGING_FACE_HUB_TOKEN"),
            ("HF_TOKEN_PATH", "~/named", "hf_named", &at("named")),
            ("HF_HOME", &at("hf"), "hf_hf", &at("hf/token")),
            ("XDG_CACHE_HOME", &at("xdg"), "hf_xdg", &at("xdg/huggingface/token")),
        ];
        let mut vars: Vec<_> = all.iter().map(|(name, value, ..)| (*name, *value)).collect();
        for (_, _, token, from) in all {
            let found = discover(&vars, home).unwrap();
            assert_eq!(found.token.as_ref().map(Token::secret), Some(token));
            assert_eq!(found.token_from.as_deref(), Some(from));
            vars.remove(0);
        }
        let found = discover(&[], home).unwrap();
        assert_eq!(found.token.as_ref().map(Token::secret), Some("hf_home"));

        let off = [("HF_TOKEN", "hf_env"), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "yes")];
        assert_eq!(discover(&off, home).unwrap().token, None);
        let empty = [("HF_TOKEN", " "), ("HF_HOME", "/nowhere")];
        assert_eq!(discover(&empty, home).unwrap().token, None);
    }

    #[test]
    fn other_settings_have_their_variables() {
        let home = Path::new("/h");
        let found = discover(&[("HF_HOME", "/hf")], home).unwrap();
        assert_eq!((&found.endpoint, &*found.config().endpoint), (&None, Config::DEFAULT_ENDPOINT));
        assert_eq!(found.cache.as_deref(), Some(Path::new("/hf/hub")));
        assert!(!found.offline && found.stall.is_none());
        let vars = [
            ("HF_ENDPOINT", "http://mirror:80/"),
            ("HF_HUB_OFFLINE", "1"),
            ("HF_HUB_DOWNLOAD_TIMEOUT", "7"),
            ("HUGGINGFACE_HUB_CACHE", "~/c"),
        ];
        let found = discover(&vars, home).unwrap();
        assert_eq!(found.endpoint.as_deref(), Some("http://mirror:80/"));
        assert_eq!(found.cache.as_deref(), Some(Path::new("/h/c")));
        assert!(found.offline);
        assert_eq!(found.config().stall, Duration::from_secs(7));
    }

    #[test]
    fn a_token_is_never_shown() {
        let home = Path::new("/h");
        let found = discover(&[("HF_TOKEN", "hf_secret")], home).unwrap();
        assert!(!format!("{found:?} {:?}", found.config()).contains("hf_secret"));
        let error = discover(&[("HF_TOKEN", "hf_sec ret")], home).unwrap_err();
        assert!(!format!("{error:?} {error}").contains("hf_sec"));
    }
}
