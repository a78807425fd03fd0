//! What a user agent says of the device: class, system, browser, robot or not. Answers are kept, in bounded memory.

use compact_str::format_compact;
use hashbrown::HashMap;
use isbot::Bots;
use midsession_event::{Device, Str};
use parking_lot::Mutex;
use std::sync::Arc;

/// Half of the answers kept at most; when the young half is full, the old one goes.
const GENERATION: usize = 2_048;
/// Longer user agents are cut before they are looked at.
const AGENT_BYTES: usize = 512;

/// A device, and whether a robot drives it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Agent {
    pub device: Device,
    pub bot: bool,
}

type Answers = HashMap<Str, Arc<Agent>, foldhash::fast::FixedState>;

/// Reads user agents.
pub(crate) struct Agents {
    bots: Bots,
    kept: Mutex<(Answers, Answers)>,
}

impl Agents {
    pub fn new() -> Self {
        Self { bots: Bots::default(), kept: Mutex::new((Answers::default(), Answers::default())) }
    }

    /// The answer for this user agent.
    pub fn read(&self, text: &str) -> Arc<Agent> {
        let text = if text.len() > AGENT_BYTES { crate::field::cut(text, AGENT_BYTES) } else { Str::from(text) };
        {
            let mut kept = self.kept.lock();
            if let Some(agent) = kept.0.get(&text) {
                return agent.clone();
            }
            if let Some(agent) = kept.1.remove(&text) {
                keep(&mut kept, text, agent.clone());
                return agent;
            }
        }
        let agent = Arc::new(self.parse(&text));
        keep(&mut self.kept.lock(), text, agent.clone());
        agent
    }

    fn parse(&self, text: &str) -> Agent {
        let answer = woothee::parser::Parser::new().parse(text);
        let known =
            |value: &str| (value != woothee::woothee::VALUE_UNKNOWN && !value.is_empty()).then(|| Str::from(value));
        let Some(answer) = answer else {
            let bot = self.bots.is_bot(text);
            let class = if bot { "bot" } else { "other" };
            return Agent { device: Device { class: Some(class.into()), ..Device::default() }, bot };
        };
        let bot = answer.category == "crawler" || self.bots.is_bot(text);
        let tablet =
            answer.os == "iPad" || text.contains("Android") && !text.contains("Mobile") || text.contains("Tablet");
        let class = match answer.category {
            _ if bot => "bot",
            "pc" | "smartphone" | "misc" if tablet && answer.category != "misc" => "tablet",
            "pc" => "desktop",
            "smartphone" | "mobilephone" => "mobile",
            _ => "other",
        };
        let os = known(answer.os).map(|os| match known(&answer.os_version) {
            Some(version) if answer.category != "pc" => format_compact!("{os} {version}"),
            _ => os,
        });
        Agent { device: Device { class: Some(class.into()), os, browser: known(answer.name) }, bot }
    }
}

/// Whether this is the agent of a library or tool that programs send with, a tracker's for servers among them: a crawler
/// reads pages, it sends no events.
pub(crate) fn is_http_library(agent: &str) -> bool {
    const PRODUCTS: [&str; 26] = [
        "python-requests",
        "python-httpx",
        "python-urllib",
        "python-urllib3",
        "python",
        "aiohttp",
        "okhttp",
        "axios",
        "node-fetch",
        "node",
        "undici",
        "got",
        "bun",
        "deno",
        "curl",
        "go-http-client",
        "java",
        "java-http-client",
        "apache-httpclient",
        "guzzlehttp",
        "php",
        "ruby",
        "faraday",
        "reqwest",
        "dart",
        "postmanruntime",
    ];
    let product = agent.split(['/', ' ']).next().unwrap_or_default();
    PRODUCTS.iter().any(|known| known.eq_ignore_ascii_case(product)) || is_server_library(product)
}

/// Whether a tracker's library of this name runs beside the shop's server: the request's address and agent are not the
/// shopper's.
pub(crate) fn is_server_library(name: &str) -> bool {
    const ENDS: [&str; 9] = ["-node", "-node-next", "-python", "-ruby", "-java", "-go", "-php", ".NET", "-rust"];
    ENDS.iter().any(|end| name.ends_with(end))
}

fn keep(kept: &mut (Answers, Answers), text: Str, agent: Arc<Agent>) {
    if kept.0.len() >= GENERATION {
        kept.1 = std::mem::take(&mut kept.0);
    }
    kept.0.insert(text, agent);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes() {
        let agents = Agents::new();
        for (text, class, bot) in [
            (
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
                "desktop",
                false,
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1",
                "mobile",
                false,
            ),
            (
                "Mozilla/5.0 (iPad; CPU OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1",
                "tablet",
                false,
            ),
            (
                "Mozilla/5.0 (Linux; Android 14; SM-X710) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
                "tablet",
                false,
            ),
            (
                "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36",
                "mobile",
                false,
            ),
            ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "bot", true),
            (
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/140.0.0.0 Safari/537.36",
                "bot",
                true,
            ),
            ("something else entirely", "other", false),
        ] {
            let agent = agents.read(text);
            assert_eq!((agent.device.class.as_deref(), agent.bot), (Some(class), bot), "{text}");
            assert_eq!(agents.read(text), agent, "kept");
        }
    }

    #[test]
    fn libraries_are_told_from_crawlers() {
        for (agent, library) in [
            ("python-requests/2.32.3", true),
            ("Python/3.12 aiohttp/3.10.5", true),
            ("okhttp/4.12.0", true),
            ("axios/1.7.7", true),
            ("node-fetch/1.0 (+https://github.com/bitinn/node-fetch)", true),
            ("node", true),
            ("curl/8.9.1", true),
            ("Go-http-client/1.1", true),
            ("analytics-node/3.0.13", true),
            ("analytics-node-next/latest", true),
            ("posthog-python/3.7.0", true),
            ("analytics-go (version: 3.0.1)", true),
            ("analytics-android/4.10.0", false),
            ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", false),
            ("Googlebot-Image/1.0", false),
            ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0", false),
            ("curlybot/1.0", false),
            ("", false),
        ] {
            assert_eq!(is_http_library(agent), library, "{agent}");
        }
    }

    #[test]
    fn libraries_of_trackers() {
        for (name, server) in [
            ("@segment/analytics-node", true),
            ("analytics-python", true),
            ("analytics.js", false),
            ("analytics-android", false),
        ] {
            assert_eq!(is_server_library(name), server, "{name}");
        }
    }

    #[test]
    fn memory_is_bounded() {
        let agents = Agents::new();
        for index in 0..3 * GENERATION {
            agents.read(&format!("agent {index}"));
        }
        let kept = agents.kept.lock();
        assert!(kept.0.len() <= GENERATION && kept.1.len() <= GENERATION);
    }
}
