//! A browser without a window, and what a person does in it.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tempfile::TempDir;
use thirtyfour::prelude::*;
use thirtyfour::{ChromiumLikeCapabilities, WindowHandle};
use tokio::runtime::Runtime;

use crate::support::skipped;

/// How long something may take to show: far longer than it ever does.
const NEVER: Duration = Duration::from_secs(60);

/// Runs the driver for as long as there is somebody at the other end of its input, however they go.
const DRIVE: &str = "\"$1\" --port=0 </dev/null & read -r _; kill -9 0";

/// A browser that runs until it is dropped.
pub struct Browser {
    runtime: Runtime,
    driver: WebDriver,
    /// Dropped after the driver, which says farewell, and before the directory.
    _process: Process,
    _home: TempDir,
}

/// The driver and the browser, which is of its process group, too.
struct Process(Child);

/// One of the browser's windows.
pub struct Tab(WindowHandle);

impl Browser {
    /// One browser; none, which is said, where there is none.
    pub fn new() -> Option<Self> {
        let browser = find(&["chromium", "chromium-browser", "google-chrome"]);
        let (Some(browser), Some(driver)) = (browser, find(&["chromedriver"])) else {
            skipped("the page in a browser: there is no chromium with a chromedriver");
            return None;
        };
        let home = tempfile::tempdir().unwrap();
        let (process, port) = Process::start(&driver, home.path());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let driver = runtime.block_on(connect(port, &browser, home.path()));
        Some(Self { runtime, driver, _process: process, _home: home })
    }

    /// Goes to a page, and waits until it shows what the server has.
    pub fn open(&self, url: &str) {
        self.go(url);
        self.until(
            "document.querySelector('#connection').dataset.state === 'live'
             && document.querySelector('#cache-size').textContent !== ''",
        );
    }

    /// Goes to a page.
    pub fn go(&self, url: &str) {
        self.wait_for(self.driver.goto(url));
    }

    /// Waits until an expression is true in the page.
    pub fn until(&self, expression: &str) {
        let script = format!(
            "const done = arguments[arguments.length - 1];
             const look = () => {{
                 let is;
                 try {{ is = Boolean({expression}); }} catch {{ is = false; }}
                 if (is) done(true); else setTimeout(look, 20);
             }};
             look();"
        );
        if let Err(e) = self.runtime.block_on(self.driver.execute_async(script, Vec::new())) {
            let shown = self.eval("document.body.innerText");
            panic!("it never was so: {expression}\n{e}\n{}", shown.as_str().unwrap_or_default());
        }
    }

    /// Waits until something is there and can be seen.
    pub fn see(&self, css: &str) {
        self.until(&format!("document.querySelector({})?.checkVisibility()", json!(css)));
    }

    /// Waits until nothing like this can be seen.
    pub fn gone(&self, css: &str) {
        self.until(&format!("!document.querySelector({})?.checkVisibility()", json!(css)));
    }

    /// Waits until a text is somewhere in an element.
    pub fn reads(&self, css: &str, words: &str) {
        self.until(&format!(
            "document.querySelector({}).innerText.includes({})",
            json!(css),
            json!(words)
        ));
    }

    /// What an expression is in the page.
    pub fn eval(&self, expression: &str) -> Value {
        let script = format!("return {expression}");
        self.wait_for(self.driver.execute(script, Vec::new())).json().clone()
    }

    /// How many elements there are.
    pub fn count(&self, css: &str) -> u64 {
        self.eval(&format!("document.querySelectorAll({}).length", json!(css))).as_u64().unwrap()
    }

    /// What is written in an element.
    pub fn text(&self, css: &str) -> String {
        let text = self.eval(&format!("document.querySelector({}).innerText", json!(css)));
        text.as_str().unwrap().to_owned()
    }

    /// What is written in each of some elements.
    pub fn texts(&self, css: &str) -> Vec<String> {
        let all = format!("[...document.querySelectorAll({})].map(n => n.innerText)", json!(css));
        serde_json::from_value(self.eval(&all)).unwrap()
    }

    pub fn attr(&self, css: &str, name: &str) -> Option<String> {
        let of = format!("document.querySelector({}).getAttribute({})", json!(css), json!(name));
        self.eval(&of).as_str().map(str::to_owned)
    }

    /// Clicks what can be seen and is not at work.
    pub fn click(&self, css: &str) {
        self.see(css);
        self.until(&format!(
            "!document.querySelector({}).matches('[aria-busy], [aria-disabled]')",
            json!(css)
        ));
        let click = async { self.driver.find(By::Css(css)).await?.click().await };
        self.wait_for(click);
    }

    /// Chooses an option of a list.
    pub fn choose(&self, css: &str) {
        self.until(&format!("document.querySelector({})", json!(css)));
        let click = async { self.driver.find(By::Css(css)).await?.click().await };
        self.wait_for(click);
    }

    /// Goes to one of the views by its tab.
    pub fn view(&self, name: &str) {
        self.click(&format!("[data-tab={name}]"));
        self.see(&format!("#view-{name}"));
    }

    /// Writes into a field, in the place of what is there.
    pub fn write(&self, css: &str, text: &str) {
        self.see(css);
        self.keys(css, Key::Control + "a");
        self.keys(css, text);
    }

    /// Presses keys in an element.
    pub fn keys(&self, css: &str, keys: impl Into<thirtyfour::TypingData>) {
        let press = async { self.driver.find(By::Css(css)).await?.send_keys(keys).await };
        self.wait_for(press);
    }

    /// Opens another window, and turns to it.
    pub fn new_tab(&self) -> Tab {
        let tab = self.wait_for(self.driver.new_window());
        self.wait_for(self.driver.switch_to_window(tab.clone()));
        Tab(tab)
    }

    /// The window that is used now.
    pub fn tab(&self) -> Tab {
        Tab(self.wait_for(self.driver.window()))
    }

    /// Turns to a window.
    pub fn turn_to(&self, tab: &Tab) {
        self.wait_for(self.driver.switch_to_window(tab.0.clone()));
    }

    /// Makes the window so wide and high, and the system's colours dark or light.
    pub fn shape(&self, width: u32, height: u32, is_dark: bool) {
        let scheme = if is_dark { "dark" } else { "light" };
        self.command(
            "Emulation.setDeviceMetricsOverride",
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false }),
        );
        self.command(
            "Emulation.setEmulatedMedia",
            json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] }),
        );
        self.until(&format!("innerWidth === {width}"));
    }

    pub fn screenshot(&self, path: &Path) {
        std::fs::write(path, self.wait_for(self.driver.screenshot_as_png())).unwrap();
    }

    /// What the page complained of since it was asked last. Answers that are errors are the server's
    /// word, so only those that nobody understood are.
    pub fn complaints(&self) -> Vec<String> {
        let log = self.wait_for(self.driver.browser_log());
        log.into_iter()
            .filter(|entry| matches!(entry.level.as_str(), "SEVERE" | "WARNING"))
            .filter(|entry| !entry.message.contains("Failed to load resource"))
            .map(|entry| entry.message)
            .collect()
    }

    fn command(&self, method: &str, params: Value) {
        self.wait_for(self.driver.cdp().send_raw(method, params));
    }

    fn wait_for<T>(&self, of: impl Future<Output = WebDriverResult<T>>) -> T {
        self.runtime.block_on(of).unwrap()
    }
}

impl Process {
    /// Starts the driver, and says at which port it listens.
    fn start(driver: &Path, home: &Path) -> (Self, u16) {
        let child = Command::new("sh")
            .args(["-c", DRIVE, "sh"])
            .arg(driver)
            .env("TMPDIR", home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        let mut process = Self(child);
        let port = port(process.0.stdout.take().unwrap());
        (process, port)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let group = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw).unwrap();
        let _ = kill_process_group(group, Signal::KILL);
        let _ = self.0.wait();
    }
}

/// The port that the driver tells of.
fn port(told: ChildStdout) -> u16 {
    let mut lines = BufReader::new(told).lines().map(Result::unwrap);
    let port = lines.by_ref().find_map(|line| {
        let (_, port) = line.rsplit_once("started successfully on port ")?;
        port.trim_end_matches('.').parse().ok()
    });
    port.unwrap_or_else(|| panic!("chromedriver ended"))
}

async fn connect(port: u16, browser: &Path, home: &Path) -> WebDriver {
    let mut wanted = DesiredCapabilities::chrome();
    wanted.set_binary(browser.to_str().unwrap()).unwrap();
    let profile = format!("--user-data-dir={}", home.join("profile").display());
    for arg in [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        "--window-size=1280,900",
        profile.as_str(),
    ] {
        wanted.add_arg(arg).unwrap();
    }
    wanted.set_browser_log_level(thirtyfour::LoggingPrefsLogLevel::All).unwrap();
    // The driver is here, whatever the environment says of proxies.
    let client = reqwest::Client::builder().no_proxy().timeout(2 * NEVER).build().unwrap();
    let driver = WebDriver::builder(format!("http://127.0.0.1:{port}"), wanted)
        .client(client)
        .await
        .unwrap();
    driver.set_script_timeout(NEVER).await.unwrap();
    driver
}

/// The first of some programs that is installed.
fn find(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let all = || std::env::split_paths(&path);
    names.iter().find_map(|name| all().map(|dir| dir.join(name)).find(|file| file.is_file()))
}
