//! Addresses of pages: the campaign is read, then everything that the source does not allow is cut.

use crate::personal::{self, Treatment};
use crate::source::Allow;
use crate::{person, property, scrub_id};
use compact_str::format_compact;
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

/// Where an address leads: the host, with its port.
pub(crate) fn host_of(url: &str) -> Option<&str> {
    let rest = url.split_once("://").map_or(url.strip_prefix("//"), |(_, rest)| Some(rest))?;
    rest.split(['/', '?', '#']).next().map(without_user_info)
}

/// `user:password@host` without who somebody is to the server.
fn without_user_info(authority: &str) -> &str {
    authority.rsplit('@').next().unwrap_or(authority)
}

/// Cuts the address of where somebody came from: an IP address as its host stays where it is the shop's own.
pub(crate) fn cut_referrer(referrer: &str, own_host: Option<&str>, allow: &Allow, treatment: &Treatment) -> Str {
    let cut = cut_url(referrer, allow, treatment);
    match host_of(&cut).filter(|host| Some(*host) != own_host) {
        Some(host) => {
            let mut hidden = Str::from(host);
            personal::scrub(&mut hidden, treatment);
            if hidden == host { cut } else { cut.replacen(host, &hidden, 1).into() }
        }
        None => cut,
    }
}

/// Cuts user info, fragment (unless it is a route, `#/…`) and the query parameters that are not allowed or hold
/// something personal; scrubs the path.
pub(crate) fn cut_url(url: &str, allow: &Allow, treatment: &Treatment) -> Str {
    let (before, fragment) = url.split_once('#').unwrap_or((url, ""));
    let (path, query) = before.split_once('?').unwrap_or((before, ""));
    let mut out = Str::with_capacity(path.len());
    // `https://user:password@host/…`, also without a scheme
    let path = match path.split_once("//").filter(|(scheme, _)| scheme.is_empty() || scheme.ends_with(':')) {
        Some((scheme, rest)) => {
            let authority_ends = rest.find('/').unwrap_or(rest.len());
            out.push_str(scheme);
            out.push_str("//");
            out.push_str(without_user_info(&rest[..authority_ends]));
            personal::scrub_emails(&mut out, treatment);
            &rest[authority_ends..]
        }
        None => path,
    };
    let mut path = Str::from(path);
    scrub_id::scrub_path(&mut path, treatment);
    out.push_str(&path);
    let mut separator = '?';
    // Once parameters stood between semicolons, and some still do: `?q=shoes;phone=…`.
    let border = |pair: &str| if pair.split(';').skip(1).any(|part| part.contains('=')) { ';' } else { '&' };
    let pairs = || query.split('&').flat_map(|pair| pair.split(border(pair))).filter(|pair| !pair.is_empty());
    let of_person = of_person(pairs());
    for pair in pairs() {
        let (key, _) = pair.split_once('=').unwrap_or((pair, ""));
        if key.starts_with("utm_") || !allow.parameter(key) {
            continue;
        }
        if let Some(pair) = scrub_pair(pair, of_person, treatment, 1) {
            out.push(separator);
            separator = '&';
            out.push_str(&pair);
        }
    }
    if fragment.starts_with(['/', '!']) {
        let mut route = Str::from(fragment.split(['?', '&']).next().unwrap_or_default());
        scrub_id::scrub_path(&mut route, treatment);
        out.push('#');
        out.push_str(&route);
    }
    if out.len() > crate::field::URL_BYTES { crate::field::cut(&out, crate::field::URL_BYTES) } else { out }
}

/// Whether these parameters tell how to reach somebody: a `name` among them is a person's.
fn of_person<'a>(pairs: impl Iterator<Item = &'a str> + Clone) -> bool {
    let key = |pair: &'a str| path_of(pair.split_once('=').unwrap_or((pair, "")).0);
    person::is_of_person(|is_one| pairs.clone().any(|pair| is_one(&key(pair))))
}

/// A parameter's name as the path of a field: `billing[name]`.
fn path_of(key: &str) -> Cow<'_, str> {
    match unescape(key) {
        key if key.contains('[') => Cow::Owned(key.replace('[', ".").replace(']', "")),
        key => key,
    }
}

/// A parameter as it is kept; `None` where it is personal.
fn scrub_pair<'a>(pair: &'a str, of_person: bool, treatment: &Treatment, depth: usize) -> Option<Cow<'a, str>> {
    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
    let (path, plain) = (path_of(key), unescape(value));
    if property::is_personal(&path, &plain) || personal::is_in_name(&path) || of_person && person::may_be_name(&path) {
        return None;
    }
    let scrubbed = property::scrub_within(&path, plain.as_ref().into(), treatment, depth)?;
    if scrubbed == plain {
        return Some(Cow::Borrowed(pair));
    }
    Some(Cow::Owned([key, "="].into_iter().chain(form_urlencoded::byte_serialize(scrubbed.as_bytes())).collect()))
}

/// Judges the parameters of the links in a text as fields, and takes out what is personal.
pub(crate) fn scrub_links(text: &mut Str, treatment: &Treatment, depth: usize) {
    cut_user_info(text);
    if memchr::memchr(b'=', text.as_bytes()).is_none() {
        return;
    }
    let ends_word =
        |letter: char| letter.is_whitespace() || matches!(letter, '"' | '\'' | '\\' | '<' | '>' | ',' | '{' | '}');
    let mut out = Str::with_capacity(text.len());
    for piece in text.split_inclusive(ends_word) {
        let word = piece.trim_end_matches(ends_word);
        scrub_link(word, &mut out, treatment, depth);
        out.push_str(&piece[word.len()..]);
    }
    *text = out;
}

/// Who somebody is to a server: `https://user:password@host/…`.
fn cut_user_info(text: &mut Str) {
    let mut from = 0;
    while let Some(at) = text[from..].find("://").map(|at| from + at + 3) {
        let ends = |letter: char| matches!(letter, '/' | '?' | '#' | '"' | '<' | '>') || letter.is_whitespace();
        let authority = &text[at..][..text[at..].find(ends).unwrap_or(text.len() - at)];
        let host = without_user_info(authority);
        if host.len() < authority.len() {
            *text = format_compact!("{}{host}{}", &text[..at], &text[at + authority.len()..]);
        }
        from = at;
    }
}

fn scrub_link(link: &str, out: &mut Str, treatment: &Treatment, depth: usize) {
    if !link.contains('=') {
        out.push_str(link);
        return;
    }
    // Also a query alone, and one in a fragment.
    let is_border = |letter: char| matches!(letter, '?' | '&' | '#' | ';');
    // What stands before `?` is a place, unless it has a parameter itself.
    let start = link.find('?').filter(|at| !link[..*at].contains('=')).unwrap_or(0);
    out.push_str(&link[..start]);
    let of_person = of_person(link[start..].split(is_border));
    let mut is_first_gone = false;
    let mut at = start;
    for part in link[start..].split(is_border) {
        // What comes first in a query stands behind `?`, also when what stood there is gone.
        let border = match link.get(at.saturating_sub(1)..at) {
            Some("&" | ";") if at > start && is_first_gone => "?",
            Some(border) if at > start => border,
            _ => "",
        };
        at += part.len() + 1;
        let kept = match part.contains('=') {
            true => scrub_pair(part, of_person, treatment, depth),
            false => Some(Cow::Borrowed(part)),
        };
        is_first_gone = kept.is_none() && border == "?";
        if let Some(part) = kept {
            out.push_str(border);
            out.push_str(&part);
        }
    }
}

/// Without percent codes. A `+` is a blank but where it leads a number.
fn unescape(value: &str) -> Cow<'_, str> {
    if !value.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Cow::Borrowed(value);
    }
    let mut spaced = value.as_bytes().to_vec();
    for at in 0..spaced.len() {
        let leads = at == 0 || matches!(spaced[at - 1], b' ' | b'-' | b'_') || spaced[..at].ends_with(b"%20");
        let number = spaced.get(at + 1).is_some_and(u8::is_ascii_digit);
        if spaced[at] == b'+' && !(leads && number) {
            spaced[at] = b' ';
        }
    }
    Cow::Owned(percent_encoding::percent_decode(&spaced).decode_utf8_lossy().into_owned())
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
            (&open, "//jane:pw@shop.example/p", "//shop.example/p"),
            (&open, "/a//b@c/d", "/a//b@c/d"),
            (&all, "/?q=x;phone=%2B31612345678;a=1&b=2", "/?q=x&a=1&b=2"),
            (&open, "/?q=x;y", "/?q=x;y"),
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
            (&all, "/p?jane%40example.com=1&b=2&%2B31612345678&192.0.2.7=x&v=1.2.3", "/p?b=2&v=1.2.3"),
            (&open, "https://shop.example/u/192.0.2.7/orders", "https://shop.example/u/[ip]/orders"),
            (&open, "https://shop.example/u/192%2E0%2E2%2E7", "https://shop.example/u/[ip]"),
            (&open, "https://shop.example/u/2001:db8::1#/from/192.0.2.7", "https://shop.example/u/[ip]#/from/[ip]"),
            (&open, "https://shop.example/call/+31-6-12345678/x", "https://shop.example/call/[phone]/x"),
            (
                &open,
                "http://127.0.0.1:8080/v1.2.3.4/a%20b/1.2.3/2026-11-22",
                "http://127.0.0.1:8080/v1.2.3.4/a%20b/1.2.3/2026-11-22",
            ),
            (
                &open,
                "https://shop.example/o/114-3941689-8398626/chrome-120.0.0.0",
                "https://shop.example/o/114-3941689-8398626/chrome-120.0.0.0",
            ),
        ] {
            assert_eq!(cut_url(url, allow, &Treatment::Drop), expected, "{url}");
        }
    }

    #[test]
    fn user_info() {
        for (text, expected) in [
            ("see https://jane:pw@shop.example/a and ftp://x@y", "see https://shop.example/a and ftp://y"),
            ("https://shop.example/@jane", "https://shop.example/@jane"),
            ("a://b@c@d e://", "a://d e://"),
            ("@ 1 €://@", "@ 1 €://"),
        ] {
            let mut cut = Str::from(text);
            cut_user_info(&mut cut);
            assert_eq!(cut, expected);
        }
    }

    #[test]
    fn referrers() {
        let open = Allow::new(None);
        for (referrer, own_host, expected) in [
            ("https://search.example/a", Some("shop.example"), "https://search.example/a"),
            ("http://192.0.2.7/a?q=b", Some("shop.example"), "http://[ip]/a?q=b"),
            ("http://192.0.2.7:8080", None, "http://[ip]:8080"),
            ("http://jane@[2001:db8::1]/a", None, "http://[[ip]]/a"),
            ("http://192.0.2.7:8080/a", Some("192.0.2.7:8080"), "http://192.0.2.7:8080/a"),
            ("android-app://com.example/", None, "android-app://com.example/"),
            ("192.0.2.7", None, "[ip]"),
        ] {
            assert_eq!(cut_referrer(referrer, own_host, &open, &Treatment::Drop), expected, "{referrer}");
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
