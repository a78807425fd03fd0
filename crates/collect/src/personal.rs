//! Finds personal fields by name and personal text by pattern, and drops it or puts a keyed hash in its place.

use crate::email::find_email;
use crate::number::{find_called, find_ip, find_phone};
use crate::{digits_name, field_name, hidden, number};
use midsession_event::Str;
use ring::hmac;
use std::fmt::Write;

/// What a source does with personal fields.
pub(crate) enum Treatment {
    Drop,
    Hash(hmac::Key),
    /// Left out of the event; fields of the kinds that the source keeps go another way.
    Encrypt,
}

impl Treatment {
    /// What stands in for a personal value; `None` when nothing does.
    pub fn replace(&self, value: &str) -> Option<Str> {
        match self {
            Self::Drop | Self::Encrypt => None,
            Self::Hash(key) => Some(keyed_hash(key, value)),
        }
    }
}

/// `h_` and 128 bits of HMAC-SHA-256 in hex: the same value is the same text, and no one without the key can guess back.
pub(crate) fn keyed_hash(key: &hmac::Key, value: &str) -> Str {
    let tag = hmac::sign(key, value.as_bytes());
    let mut out = Str::with_capacity(34);
    out.push_str("h_");
    for byte in &tag.as_ref()[..16] {
        let _ = write!(out, "{byte:02x}");
    }
    out
}

/// Whether a text has the form of such a hash.
pub(crate) fn is_keyed_hash(text: &str) -> bool {
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    text.len() == 34 && text.strip_prefix("h_").is_some_and(|hex| hex.bytes().all(is_hex))
}

/// Whether a field of this name holds something personal. Path segments are separated by points.
pub fn is_personal_name(path: &str) -> bool {
    // A product has a name; so has a person.
    let of_person = |segment: &str| {
        let people = [
            "traits",
            "user",
            "customer",
            "person",
            "billing",
            "shipping",
            "recipient",
            "shopper",
            "buyer",
            "guest",
            "contact",
            "account",
            "member",
            "profile",
            "delivery",
        ];
        let singular = segment.strip_suffix(['s', 'S']).unwrap_or(segment);
        people.iter().any(|person| person.eq_ignore_ascii_case(segment) || person.eq_ignore_ascii_case(singular))
    };
    let named = path.rsplit_once('.').is_some_and(|(rest, last)| last == "name" && rest.split('.').any(of_person));
    named || path.split('.').any(is_personal_segment)
}

fn is_personal_segment(segment: &str) -> bool {
    const EXACT: [&str; 13] = [
        "customername",
        "ip",
        "useripaddress",
        "ipaddress",
        "remoteaddr",
        "clientip",
        "cardnumber",
        "creditcard",
        "password",
        "passwd",
        "contact",
        "recipient",
        "nameoncard",
    ];
    const ENDS: [&str; 24] = [
        "phone",
        "phonenumber",
        "mobilenumber",
        "address",
        "address1",
        "address2",
        "addressline1",
        "addressline2",
        "firstname",
        "lastname",
        "fullname",
        "postcode",
        "postalcode",
        "zipcode",
        "ipaddress",
        "addresses",
        "billingname",
        "shippingname",
        "recipientname",
        "holdername",
        "contactname",
        "customername",
        "shoppername",
        "buyername",
    ];
    // Longer names are custom words, not one of these.
    if segment.len() > 40 {
        return segment.to_ascii_lowercase().contains("email");
    }
    let mut plain = [0u8; 40];
    let mut length = 0;
    for byte in segment.bytes().filter(u8::is_ascii_alphanumeric) {
        plain[length] = byte.to_ascii_lowercase();
        length += 1;
    }
    let Ok(plain) = std::str::from_utf8(&plain[..length]) else { return false };
    let singular = plain.strip_suffix('s').unwrap_or(plain);
    field_name::kind_of(segment).is_some()
        || EXACT.contains(&plain)
        || EXACT.contains(&singular)
        || plain.contains("email")
        || ENDS.iter().any(|end| plain.ends_with(end) || singular.ends_with(end))
}

/// Takes e-mail addresses, telephone numbers and IP addresses out of free text.
pub(crate) fn scrub(text: &mut Str, treatment: &Treatment) {
    in_plain(text, |text| {
        contacts(text, treatment);
        if memchr::memchr2(b'.', b':', text.as_bytes()).is_some() {
            replace_each(text, find_ip, treatment, "[ip]");
        }
    });
}

/// A text without the e-mail addresses, telephone numbers and IP addresses in it: as free text of an event is kept.
pub fn scrub_text(text: &str) -> Str {
    let mut text = Str::from(text);
    scrub(&mut text, &Treatment::Drop);
    text
}

/// Takes e-mail addresses and telephone numbers out.
pub(crate) fn scrub_contacts(text: &mut Str, treatment: &Treatment) {
    in_plain(text, |text| contacts(text, treatment));
}

pub(crate) fn contacts(text: &mut Str, treatment: &Treatment) {
    emails(text, treatment);
    scrub_phones(text, treatment);
}

/// Looks at the plain spelling of a text. What has nothing personal in it stays as it was written.
pub(crate) fn in_plain(text: &mut Str, scrub: impl Fn(&mut Str)) {
    match hidden::plain(text) {
        None => scrub(text),
        Some(plain) => {
            let mut scrubbed = plain.clone();
            scrub(&mut scrubbed);
            if scrubbed != plain {
                *text = scrubbed;
            }
        }
    }
}

/// Takes e-mail addresses out, also percent-encoded ones.
pub(crate) fn scrub_emails(text: &mut Str, treatment: &Treatment) {
    in_plain(text, |text| emails(text, treatment));
}

pub(crate) fn emails(text: &mut Str, treatment: &Treatment) {
    if memchr::memchr2(b'@', b'%', text.as_bytes()).is_some() {
        replace_each(text, find_email, treatment, "[email]");
    } else if is_hidden_email(text) {
        *text = treatment.replace(text).unwrap_or(Str::const_new("[email]"));
    }
}

/// Whether a value is base64 of text with an e-mail address in it.
pub(crate) fn is_hidden_email(text: &str) -> bool {
    hidden::from_base64(text).is_some_and(|text| find_email(&text, 0).is_some())
}

/// Builds the text anew with each find replaced: however many there are, it is one pass.
pub(crate) fn replace_each(
    text: &mut Str,
    find: impl Fn(&str, usize) -> Option<(usize, usize)>,
    treatment: &Treatment,
    stand_in: &str,
) {
    let mut out = Str::default();
    let mut from = 0;
    while let Some((start, end)) = find(text, from) {
        out.push_str(&text[from..start]);
        out.push_str(treatment.replace(&text[start..end]).as_deref().unwrap_or(stand_in));
        from = end;
    }
    if from > 0 {
        out.push_str(&text[from..]);
        *text = out;
    }
}

/// Takes telephone numbers out: what a link calls; `+` and 8 to 15 digits whatever stands before it (but a digit), a leading 0 or bracket with separators between the digits, or
/// the North American form. Bare digit runs stay: they are article numbers far more often.
fn scrub_phones(text: &mut Str, treatment: &Treatment) {
    if !text.bytes().any(|byte| byte.is_ascii_digit()) {
        return;
    }
    replace_each(text, |text, from| find_called(text.as_bytes(), from), treatment, "[phone]");
    replace_each(text, |text, from| find_phone(text.as_bytes(), from), treatment, "[phone]");
}

/// Whether an id is a person's address in itself.
pub(crate) fn is_personal_id(text: &str) -> bool {
    let text = text.trim();
    find_email(text, 0).is_some()
        || is_hidden_email(text)
        || hidden::plain(text).is_some_and(|plain| find_email(&plain, 0).is_some())
        || text.contains('+') && find_phone(text.as_bytes(), 0).is_some()
        // The international prefix in digits. Article numbers of this length are no ids of people.
        || text.starts_with("00") && (12..=17).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
        || number::is_grouped_phone(text)
        || number::is_address(text)
}

/// Whether a name that somebody chose has an address or a number of theirs in it. Members of members are separated by points.
pub(crate) fn is_in_name(name: &str) -> bool {
    let is_mark = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'@' | b'%' | b':') || byte >= 0x80;
    if is_personal_id(name) {
        return true;
    }
    if !name.bytes().any(is_mark) {
        return false;
    }
    if scrub_text(name) != name {
        return true;
    }
    let is_one = |segment: &str| {
        segment.starts_with('+') && find_phone(segment.as_bytes(), 0).is_some()
            || segment.contains(':') && find_ip(segment, 0).is_some()
    };
    // `seen.192.0.2.7`: any four members of members, one after the other.
    let begins: Vec<usize> =
        [0].into_iter().chain(memchr::memchr_iter(b'.', name.as_bytes()).map(|dot| dot + 1)).collect();
    let ends = begins.iter().skip(4).map(|next| next - 1).chain([name.len()]);
    let is_ip = |(begin, end): (&usize, usize)| find_ip(&name[*begin..end], 0).is_some();
    let is_version = || digits_name::is_version(name.split('.').next().unwrap_or(name));
    name.split('.').skip(1).any(is_one) || begins.len() >= 4 && !is_version() && begins.iter().zip(ends).any(is_ip)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::property::scrub_value;

    #[test]
    fn names() {
        for name in [
            "email",
            "Email",
            "customer_email",
            "emailAddress",
            "phone",
            "billingPhone",
            "first_name",
            "lastName",
            "address",
            "shipping.address.line1",
            "traits.address",
            "ip",
            "user_ipaddress",
            "$ip",
            "zip-code",
            "password",
            "billing_name",
            "recipient_name",
            "recipient",
            "cardholder_name",
            "contact_name",
            "shopper.name",
            "customers.name",
            "addresses",
            "traits.contacts",
        ] {
            assert!(is_personal_name(name), "{name}");
        }
        for name in [
            "color",
            "list_name",
            "shipping",
            "zipper",
            "ipod",
            "name",
            "product.name",
            "total",
            "mailbox_size",
            "phone_model",
            "ship",
            "list.name",
            "campaign_name",
            "screen_name",
            "products.name",
            "cities_visited_count",
        ] {
            assert!(!is_personal_name(name), "{name}");
        }
    }

    #[test]
    fn text() {
        for (text, expected) in [
            ("mail jane.doe+x@example.co.uk, please", "mail [email], please"),
            ("jane@example.com", "[email]"),
            ("a%40b.example", "[email]"),
            ("jane@example.com.", "[email]."),
            ("josé@exämple.com!", "[email]!"),
            ("a@b.c d@e.f", "[email] [email]"),
            ("50% off @ home", "50% off @ home"),
            ("@handle", "@handle"),
            ("call +49 30 1234567 now", "call [phone] now"),
            ("(030) 123-45678", "[phone]"),
            ("030 1234 5678", "[phone]"),
            ("4006381333931", "4006381333931"),
            ("0012345678905", "0012345678905"),
            ("2026-11-22", "2026-11-22"),
            ("shoes 42.5 +2", "shoes 42.5 +2"),
            ("0.1234567890", "0.1234567890"),
            ("call 415-555-2671 now", "call [phone] now"),
            ("1-800-555-0199", "[phone]"),
            ("415.555.2671, or 415 555-2671.", "[phone], or [phone]."),
            ("(415) 555-2671", "[phone]"),
            ("415-555", "415-555"),
            ("415-555-26", "415-555-26"),
            ("415-555-2671-01", "415-555-2671-01"),
            ("A415-555-2671", "A415-555-2671"),
            ("115-555-2671", "115-555-2671"),
            ("114-3941689-8398626", "114-3941689-8398626"),
            ("Tel-+31612345678", "Tel-[phone]"),
            ("A+31612345678, o-+31 6 1234 5678.", "A[phone], o-[phone]."),
            ("x:+31612345678 o_+31612345678 é+31612345678", "x:[phone] o_[phone] é[phone]"),
            ("nr.+31-6-12345678 ++31612345678 tel+(31)612345678", "nr.[phone] +[phone] tel[phone]"),
            ("A+1234567 A+1234567890123456 A+31612345678b", "A+1234567 A+1234567890123456 A+31612345678b"),
            ("12+31612345678 v1.4.0+20261122", "12+31612345678 v1.4.0+20261122"),
            ("12:00:00+0100 2026, 12:00+01:00", "12:00:00+0100 2026, 12:00+01:00"),
            ("grade A+ 2026-11-22, C++ 12345678", "grade A+ 2026-11-22, C++ 12345678"),
            ("/search?q=lamp+4006381333931", "/search?q=lamp+4006381333931"),
            ("a=b lamp+4006381333931", "a=b lamp[phone]"),
            ("iphone 256 512 1024", "iphone 256 512 1024"),
            ("978-3-16-148410", "978-3-16-148410"),
            ("2026-11-22 2026.11.22 22.11.2026 11-22-2026", "2026-11-22 2026.11.22 22.11.2026 11-22-2026"),
            ("1.299,95 or 299.95-349.95", "1.299,95 or 299.95-349.95"),
            ("tel:0612345678", "tel:[phone]"),
            ("TEL:+31612345678, sms:0612345678;body=hi", "TEL:[phone], sms:[phone];body=hi"),
            ("https://wa.me/31612345678?text=hi", "https://wa.me/[phone]?text=hi"),
            ("callto:(020)123-4567", "callto:[phone]"),
            ("tel:0612345678 2026-11-22", "tel:[phone] 2026-11-22"),
            (
                "tel:12 sms:order-1 wa.me/message/X hotel:0612345678",
                "tel:12 sms:order-1 wa.me/message/X hotel:0612345678",
            ),
            ("tel:06123456789012345", "tel:06123456789012345"),
            ("of \"jane doe\"@example.com, who", "of [email], who"),
            ("\"jane\\\"s doe\"@example.com", "\"jane\\[email]"),
            ("the \"@\" of \"@jane.doe\"", "the \"@\" of \"@jane.doe\""),
            ("{\"handle\":\"@jane.doe\"}", "{\"handle\":\"@jane.doe\"}"),
            ("from 192.0.2.7, at 12:30:45", "from [ip], at 12:30:45"),
            ("ip:192.0.2.7:8080", "ip:[ip]:8080"),
            ("[2001:db8::1]:443 and 2001:db8::2.", "[[ip]]:443 and [ip]."),
            ("2001:0db8:85a3:0000:0000:8a2e:0370:7334", "[ip]"),
            ("é192.0.2.7é", "é[ip]é"),
            ("Chrome 120.0.0.0", "Chrome 120.0.0.0"),
            ("conversion 84.12.33.1", "conversion [ip]"),
            ("version 4.10.1.0, v4.10.1.1", "version 4.10.1.0, v4.10.1.1"),
            ("1.2.3 and 1.2.3.4.5 and 300.1.2.3", "1.2.3 and 1.2.3.4.5 and 300.1.2.3"),
            ("size 1:2:3, deco::bar, 00:1B:44:11:3A:B7", "size 1:2:3, deco::bar, 00:1B:44:11:3A:B7"),
            ("@", "@"),
            ("%", "%"),
            ("é@ü.ö", "[email]"),
            ("a%2540b.com", "[email]"),
            ("a%252540b.com x", "[email] x"),
            ("q=jane%2Bshop%40b%2Ecom&x=1", "q=[email]&x=1"),
            ("mail%3Djane%2540b%252Ecom%26x", "mail%3D[email]%26x"),
            ("%2525252525252525252525252540b.com", "%2525252525252525252525252540b.com"),
            ("50%25 off", "50%25 off"),
            ("a%40", "a%40"),
            ("a%4", "a%4"),
            ("a@b.%4", "a@b.%4"),
            ("a@b%2E", "a@b%2E"),
            ("ａ＠ｂ．ｃｏｍ", "[email]"),
            ("mail ｊａｎｅ@ｂ．ｃｏｍ, please", "mail [email], please"),
            ("call ＋４９ ３０ １２３４５６７", "call [phone]"),
            ("１９２．０．２．７", "[ip]"),
            ("Ｎｉｋｅ ½ price… ™", "Ｎｉｋｅ ½ price… ™"),
            ("amFuZUBleGFtcGxlLmNvbQ==", "[email]"),
            ("amFuZUBleGFtcGxlLmNvbQ", "[email]"),
            ("of amFuZUBleGFtcGxlLmNvbQ", "of amFuZUBleGFtcGxlLmNvbQ"),
            ("bm8gYWRkcmVzcw==", "bm8gYWRkcmVzcw=="),
        ] {
            assert_eq!(scrub_text(text), expected, "{text}");
        }
    }

    #[test]
    fn names_with_somebody_in_them() {
        for name in [
            "jane@example.com",
            "of jane%40example.com",
            "x +31612345678",
            "called +31 6 12345678 twice",
            "traits.+31612345678",
            "030 1234 5678",
            "192.0.2.7",
            "from 192.0.2.7",
            "seen.192.0.2.7.times",
            "2001:db8::1",
            "ａ＠ｂ．ｃｏｍ",
        ] {
            assert!(is_in_name(name), "{name}");
        }
        for name in [
            "policy_version",
            "colour",
            "address line 2",
            "step_2",
            "2026-11-22",
            "v1.2.3.4",
            "app_version.1.2.3.4",
            "layout.1.2.3",
            "Chrome 120.0.0.0",
            "$feature/new-checkout-2",
            "utm:source",
            "dimension12",
            "order 114-3941689-8398626",
            "größe",
        ] {
            assert!(!is_in_name(name), "{name}");
        }
    }

    #[test]
    fn hashes_are_keyed_and_stable() {
        let key = |secret: &[u8]| Treatment::Hash(hmac::Key::new(hmac::HMAC_SHA256, secret));
        let value = scrub_value("email", "jane@example.com".into(), &key(b"a"));
        assert_eq!(value, scrub_value("email", "jane@example.com".into(), &key(b"a")));
        assert_ne!(value, scrub_value("email", "jane@example.com".into(), &key(b"b")));
        assert!(value.is_some_and(|hash| hash.starts_with("h_") && hash.len() == 34));
        assert_eq!(scrub_value("host", "192.0.2.7".into(), &Treatment::Drop), None);
        assert_eq!(scrub_value("host", "2001:db8::1".into(), &Treatment::Drop), None);
        assert_eq!(scrub_value("app_version", "4.10.1.0".into(), &Treatment::Drop), Some("4.10.1.0".into()));
    }

    #[test]
    fn ids() {
        for id in [
            "jane@example.com",
            "+4930123456789",
            "00491701234567",
            "192.0.2.1",
            "::1",
            "amFuZUBleGFtcGxlLmNvbQ==",
            "ａ＠ｂ．ｃｏｍ",
            "a%2540b.com",
            " +4930123456789\u{a0}",
            "tel:+4930123456789",
            "crm|+4930123456789",
            "06-12300022",
            "(415) 555-2671",
            " 192.0.2.1 ",
            "192.0.2.1:443",
            "[2001:db8::1]",
        ] {
            assert!(is_personal_id(id), "{id}");
        }
        for id in [
            "u-1",
            "42",
            "0301234567",
            "8f14e45f-ceea-467f-a8d1-2f1d3b1c0001",
            "2026-11-30",
            "12-34-567890",
            "1234567890.1234567890",
            "GA1.2.123456789.1234567890",
            "a+b",
            "00-1234-5678",
        ] {
            assert!(!is_personal_id(id), "{id}");
        }
    }
}
