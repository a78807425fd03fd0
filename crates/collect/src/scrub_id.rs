//! Takes what is personal out of ids, of what things are sorted by and of paths: digits with separators are an order's or an
//! article's there, not a telephone number.

use crate::number::{IP_BYTES_MIN, find_ip, find_phone};
use crate::personal::{Treatment, contacts, emails, in_plain, replace_each, scrub_emails};
use midsession_event::Str;

/// Takes e-mail addresses, telephone numbers with `+` and IP addresses out of an id.
pub(crate) fn scrub_id(id: &mut Str, treatment: &Treatment) {
    scrub_article(id, treatment);
    in_plain(id, |id| scrub_ips(id, treatment));
}

/// Takes e-mail addresses and telephone numbers with `+` out of an article's number: the shop's catalogue has no shoppers'
/// addresses in it.
pub(crate) fn scrub_article(id: &mut Str, treatment: &Treatment) {
    in_plain(id, |id| {
        emails(id, treatment);
        scrub_called(id, treatment);
    });
}

/// Takes e-mail addresses, telephone numbers and IP addresses out of the name of a category or brand.
pub(crate) fn scrub_group(text: &mut Str, treatment: &Treatment) {
    in_plain(text, |text| {
        contacts(text, treatment);
        scrub_ips(text, treatment);
    });
}

fn scrub_ips(text: &mut Str, treatment: &Treatment) {
    if memchr::memchr2(b'.', b':', text.as_bytes()).is_some() {
        replace_each(text, find_ip_but_places, treatment, "[ip]");
    }
}

/// Four single digits (`1.2.3.4`) are a place in a tree far more often than an address.
fn find_ip_but_places(text: &str, mut from: usize) -> Option<(usize, usize)> {
    loop {
        let (start, end) = find_ip(text, from)?;
        let is_place = end - start == IP_BYTES_MIN && !text[start..end].contains(':');
        if !is_place {
            return Some((start, end));
        }
        from = end;
    }
}

/// Takes telephone numbers with `+` out.
fn scrub_called(id: &mut Str, treatment: &Treatment) {
    if id.contains('+') {
        let find = |text: &str, from: usize| {
            let mut from = from;
            loop {
                let (start, end) = find_phone(text.as_bytes(), from)?;
                if text.as_bytes()[start] == b'+' {
                    return Some((start, end));
                }
                from = end;
            }
        };
        replace_each(id, find, treatment, "[phone]");
    }
}

/// Takes e-mail addresses, telephone numbers with `+` and IP addresses out of a path: digits with separators are an order's
/// or an article's.
pub(crate) fn scrub_path(path: &mut Str, treatment: &Treatment) {
    scrub_emails(path, treatment);
    if !path.bytes().any(|byte| byte.is_ascii_digit()) {
        return;
    }
    let mut scrubbed = Str::with_capacity(path.len());
    for (number, segment) in path.split('/').enumerate() {
        if number > 0 {
            scrubbed.push('/');
        }
        let mut kept = Str::from(percent_encoding::percent_decode_str(segment).decode_utf8_lossy());
        let before = kept.clone();
        in_plain(&mut kept, |text| {
            scrub_called(text, treatment);
            replace_each(text, find_ip, treatment, "[ip]");
        });
        // What was escaped and has nothing of the kind in it stays as it was written.
        scrubbed.push_str(if kept == before { segment } else { &kept });
    }
    *path = scrubbed;
}
