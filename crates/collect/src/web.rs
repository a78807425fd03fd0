//! Addresses of pages: the campaign is read, then everything that the source does not allow is cut.

use crate::personal::{self, Treatment};
use crate::source::Allow;
use midsession_event::{Campaign, Str};
use std::borrow::Cow;

/// Reads `utm_*` from an address into the campaign, where it is not set yet.
pub(crate) fn read_campaign(url: &str, campaign: &mut Option<Campaign>) {
    let Some((_, query)) = url.split_once('?') else { return };
    if memchr::memmem::find(query.as_bytes(), b"utm_").is_none() {
        return;
    }
    let query = query.split('#').next().unwrap_or_default();
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        let Some(name) = key.strip_prefix("utm_") else { continue };
        if value.is_empty() {
            continue;
        }
        let campaign = campaign.get_or_insert_with(Campaign::default);
        let slot = match name {
            "source" => &mut campaign.source,
            "medium" => &mut campaign.medium,
            "campaign" => &mut campaign.name,
            "term" => &mut campaign.term,
            "content" => &mut campaign.content,
            _ => continue,
        };
        slot.get_or_insert_with(|| crate::field::cut(&value, 256));
    }
}

/// Cuts user info, fragment (unless it is a route, `#/…`) and the query parameters that are not allowed or hold
/// something personal; scrubs the path.
pub(crate) fn cut_url(url: &str, allow: &Allow, treatment: &Treatment) -> Str {
    let (before, fragment) = url.split_once('#').unwrap_or((url, ""));
    let (path, query) = before.split_once('?').unwrap_or((before, ""));
    let mut out = Str::with_capacity(path.len());
    // `https://user:password@host/…`
    match path.split_once("://") {
        Some((scheme, rest)) => {
            let authority_ends = rest.find('/').unwrap_or(rest.len());
            let host_starts = rest[..authority_ends].rfind('@').map_or(0, |at| at + 1);
            out.push_str(scheme);
            out.push_str("://");
            out.push_str(&rest[host_starts..]);
        }
        None => out.push_str(path),
    }
    personal::scrub_path(&mut out, treatment);
    let mut separator = '?';
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if key.starts_with("utm_") || !allow.parameter(key) || personal::is_personal_name(key) {
            continue;
        }
        let plain = unescape(value);
        let mut scrubbed = Str::from(plain.as_ref());
        personal::scrub(&mut scrubbed, treatment);
        out.push(separator);
        separator = '&';
        out.push_str(key);
        if pair.len() > key.len() {
            out.push('=');
            if scrubbed == plain {
                out.push_str(value);
            } else {
                out.extend(form_urlencoded::byte_serialize(scrubbed.as_bytes()));
            }
        }
    }
    if fragment.starts_with(['/', '!']) {
        let mut route = Str::from(fragment.split(['?', '&']).next().unwrap_or_default());
        personal::scrub_path(&mut route, treatment);
        out.push('#');
        out.push_str(&route);
    }
    if out.len() > crate::field::URL_BYTES { crate::field::cut(&out, crate::field::URL_BYTES) } else { out }
}

fn unescape(value: &str) -> Cow<'_, str> {
    if value.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        let spaced = value.replace('+', " ");
        Cow::Owned(percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned())
    } else {
        Cow::Borrowed(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cut() {
        let open = Allow::new(None);
        let all = Allow::new(Some(&["*".to_owned()]));
        let some = Allow::new(Some(&["color".to_owned()]));
        for (allow, url, expected) in [
            (&open, "https://shop.example/p/1?q=red+shoes&token=abc", "https://shop.example/p/1?q=red+shoes"),
            (&open, "https://jane:pw@shop.example/p", "https://shop.example/p"),
            (&open, "https://shop.example/p#section", "https://shop.example/p"),
            (&open, "https://shop.example/p#/cart?email=a", "https://shop.example/p#/cart"),
            (&open, "https://shop.example/u/jane@example.com/x", "https://shop.example/u/[email]/x"),
            (&open, "https://shop.example/u/+491701234567/orders", "https://shop.example/u/[phone]/orders"),
            (&open, "https://shop.example/u/%2B491701234567", "https://shop.example/u/[phone]"),
            (&open, "https://shop.example/s?q=jane%40example.com", "https://shop.example/s?q=%5Bemail%5D"),
            (&open, "/search?q=a&utm_source=x&q2", "/search?q=a"),
            (&some, "/p?color=red&size=4", "/p?color=red"),
            (&all, "/p?b=1&a=2&email=x&utm_term=y&flag", "/p?b=1&a=2&flag"),
            (&all, "not a url", "not a url"),
            (&all, "", ""),
            (&all, "?=&&", "?="),
        ] {
            assert_eq!(cut_url(url, allow, &Treatment::Drop), expected, "{url}");
        }
    }

    #[test]
    fn campaign() {
        let mut campaign = None;
        read_campaign(
            "https://x/?utm_source=news+letter&utm_campaign=h%C3%A9&utm_x=1&utm_medium=#utm_term=no",
            &mut campaign,
        );
        let expected = Campaign { source: Some("news letter".into()), name: Some("hé".into()), ..Campaign::default() };
        assert_eq!(campaign, Some(expected));
        let mut none = None;
        read_campaign("https://x/?q=utm", &mut none);
        assert_eq!(none, None);
    }
}
