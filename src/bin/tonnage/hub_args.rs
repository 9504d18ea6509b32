//! Which hub is asked, and with whose token.

use tonnage::config::Settings;
use tonnage::hub::{Config, Discovery, Proxy, Token};

use crate::context::{Context, Origin};
use crate::fail::Failure;

/// What every command takes that asks a hub.
#[derive(clap::Args)]
pub struct HubArgs {
    /// The hub [env: HF_ENDPOINT]
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// A token; HF_TOKEN does not show in the list of processes
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
}

impl HubArgs {
    pub fn config(&self, offline: bool, context: &Context) -> Result<Config, Failure> {
        let found = discover(self.token.is_some())?;
        let mut config = found.config();
        config.offline |= offline;
        if config.proxy == Proxy::None {
            // Some systems have settings of their own.
            config.proxy = Proxy::System;
        }
        // Read also when a flag or the environment says more: a mistake in it shows at once.
        let (endpoint, _) = endpoint(self.endpoint.as_deref(), &found, context.settings()?);
        config.endpoint = endpoint;
        if let Some(token) = &self.token {
            config.token = Some(Token::new(token, "--token")?);
        }
        Ok(config)
    }
}

/// What the environment says. A token that is given makes what the environment has of one
/// unimportant, also when it is bad.
pub fn discover(without_token: bool) -> Result<Discovery, Failure> {
    let home = etcetera::home_dir().ok();
    let env = |name: &str| match name {
        "HF_HUB_DISABLE_IMPLICIT_TOKEN" if without_token => Some("1".to_owned()),
        name => std::env::var(name).ok(),
    };
    Ok(Discovery::new(env, home.as_deref())?)
}

/// The hub's address, and who says so.
pub fn endpoint(flag: Option<&str>, env: &Discovery, file: &Settings) -> (String, Origin) {
    let said = [
        (flag, Origin::Flag),
        (env.endpoint.as_deref(), Origin::Env),
        (file.endpoint.as_deref(), Origin::File),
    ];
    let first = said.into_iter().find_map(|(text, origin)| Some((text?.to_owned(), origin)));
    first.unwrap_or_else(|| (Config::DEFAULT_ENDPOINT.to_owned(), Origin::Default))
}
