//! Finds telephone numbers and IP addresses in free text.

/// A telephone number from `from` on, which is the begin or the end of another one: where it begins and ends.
pub(crate) fn find_phone(bytes: &[u8], from: usize) -> Option<(usize, usize)> {
    let mut at = from;
    while at < bytes.len() {
        // Most bytes begin none.
        if !matches!(bytes[at], b'+' | b'(' | b'0'..=b'9') {
            at += 1;
            continue;
        }
        let opens = matches!(bytes[at], b'+' | b'(' | b'0');
        let fresh = at == from
            || !bytes[at - 1].is_ascii_alphanumeric() && !matches!(bytes[at - 1], b'.' | b'-' | b'+')
            || bytes[at] == b'+' && is_prefix(bytes, at);
        if let Some(length) = fresh.then(|| north_american(&bytes[at..])).flatten() {
            return Some((at, at + length));
        }
        if !(opens && fresh) {
            at += 1;
            continue;
        }
        let (mut digits, mut separators, mut end) = (0, 0, at);
        for (index, byte) in bytes[at..].iter().enumerate().take(32) {
            match byte {
                b'0'..=b'9' => {
                    digits += 1;
                    end = at + index + 1;
                }
                b'+' if index == 0 => {}
                b' ' | b'-' | b'(' | b')' | b'/' | b'.' => separators += 1,
                _ => break,
            }
        }
        let followed = bytes.get(end).is_some_and(u8::is_ascii_alphanumeric);
        let is_date_or_amount = bytes[at] == b'0' && bytes[at..end].contains(&b'.');
        let enough = if bytes[at] == b'+' { digits >= 8 } else { digits >= 9 && separators >= 1 && !is_date_or_amount };
        if enough && digits <= 15 && !followed {
            return Some((at, end));
        }
        at = end.max(at + 1);
    }
    None
}

/// A telephone number that a link calls or writes to (`tel:0612345678`, `https://wa.me/31612345678`), from `from` on. There
/// digits alone are one.
pub(crate) fn find_called(bytes: &[u8], from: usize) -> Option<(usize, usize)> {
    const LINKS: [&[u8]; 5] = [b"tel:", b"sms:", b"smsto:", b"callto:", b"wa.me/"];
    memchr::memchr2_iter(b':', b'/', bytes.get(from..)?).find_map(|at| {
        let start = from + at + 1;
        let ends_link = |link: &&[u8]| {
            let Some(begin) = start.checked_sub(link.len()) else { return false };
            let is_within = begin > 0 && bytes[begin - 1].is_ascii_alphanumeric();
            bytes[begin..start].eq_ignore_ascii_case(link) && !is_within
        };
        LINKS.iter().find(|link| ends_link(link))?;
        let of_number = |byte: &&u8| byte.is_ascii_digit() || b"+-.()".contains(byte);
        let number = &bytes[start..start + bytes[start..].iter().take(32).take_while(of_number).count()];
        let end = start + number.iter().rposition(u8::is_ascii_digit)? + 1;
        let digits = number.iter().filter(|byte| byte.is_ascii_digit()).count();
        (7..=15).contains(&digits).then_some((start, end))
    })
}

/// Whether a `+` glued to what stands before it is the one of a telephone number: the number follows at once. Behind a digit it
/// is a sum's, a version's (`1.4.0+20261122`) or a time zone's; behind a letter of a link's parameter it is a blank.
fn is_prefix(bytes: &[u8], at: usize) -> bool {
    if !bytes.get(at + 1).is_some_and(|next| next.is_ascii_digit() || *next == b'(') {
        return false;
    }
    let before = &bytes[at.saturating_sub(PARAMETER_BYTES)..at];
    match before.last() {
        Some(b'-') => true,
        Some(b'0'..=b'9') => false,
        _ => {
            let ends_word = |byte: &u8| byte.is_ascii_whitespace() || b"\"'\\<>,{}".contains(byte);
            !before.iter().rev().take_while(|byte| !ends_word(byte)).any(|byte| *byte == b'=')
        }
    }
}

/// So far back a parameter's `=` is looked for.
const PARAMETER_BYTES: usize = 256;

/// The length of a number like `415-555-2671` or `1-800-555-0199` at the begin. Spaces alone don't make one: sizes and
/// capacities stand in rows like that.
fn north_american(bytes: &[u8]) -> Option<usize> {
    let is_any = |at: usize, of: &[u8]| bytes.get(at).is_some_and(|byte| of.contains(byte));
    let are_digits =
        |at: usize, count: usize| bytes.get(at..at + count).is_some_and(|d| d.iter().all(u8::is_ascii_digit));
    let area = if is_any(0, b"1") && is_any(1, b"-. ") { 2 } else { 0 };
    let (exchange, line, end) = (area + 4, area + 8, area + 12);
    let formed = are_digits(area, 3) && are_digits(exchange, 3) && are_digits(line, 4);
    let separated = is_any(exchange - 1, b"-. ") && is_any(line - 1, b"-.");
    // Neither an area code nor an exchange begins with 0 or 1.
    let assigned = !is_any(area, b"01") && !is_any(exchange, b"01");
    let goes_on = are_digits(end, 1) || is_any(end, b"-.") && are_digits(end + 1, 1);
    let followed = bytes.get(end).is_some_and(u8::is_ascii_alphanumeric);
    (formed && separated && assigned && !goes_on && !followed).then_some(end)
}

/// An IPv4 or IPv6 address. What ends in `.0.0` is a browser's version, and so is what is called one.
pub(crate) fn find_ip(text: &str, from: usize) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let mut next = from;
    while next < bytes.len() {
        let start = next;
        let is_part = |byte: &&u8| byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':');
        let end = start + bytes[start..].iter().take_while(is_part).count();
        next = end + 1;
        let is_word = |byte: &u8| byte.is_ascii_alphanumeric();
        let glued = start > 0 && is_word(&bytes[start - 1]);
        let alone = !(glued && bytes[start] != b':' || bytes.get(end).is_some_and(is_word));
        if end - start < IP_BYTES_MIN || !alone || ends_with_version(&bytes[..start]) {
            continue;
        }
        let run = text[start..end].trim_end_matches('.');
        let is_v6 = |run: &&str| !glued && run.parse::<std::net::Ipv6Addr>().is_ok();
        let v6 = [run, run.trim_end_matches(':')].into_iter().find(is_v6);
        let is_v4 = |part: &&str| {
            part.len() >= IP_BYTES_MIN && !part.ends_with(".0.0") && part.parse::<std::net::Ipv4Addr>().is_ok()
        };
        // A label before it or a port behind it is no part of it.
        if let Some(found) = v6.or_else(|| run.split(':').map(|part| part.trim_matches('.')).find(is_v4)) {
            let start = start + run.find(found)?;
            return Some((start, start + found.len()));
        }
    }
    None
}

/// `1.1.1.1`; a shorter one is a number or names this machine.
pub(crate) const IP_BYTES_MIN: usize = 7;

fn ends_with_version(before: &[u8]) -> bool {
    let word = before.trim_ascii_end();
    let Some(at) = word.len().checked_sub(7) else { return false };
    // The end of `conversion` is none.
    word[at..].eq_ignore_ascii_case(b"version") && !word[..at].last().is_some_and(u8::is_ascii_alphabetic)
}

/// Whether the number of a payment card stands in the text: 13 to 19 digits, also in groups, whose last one checks them.
pub(crate) fn has_card(text: &str) -> bool {
    let groups: Vec<&str> = text.split([' ', '-', '\u{a0}', ',', '/', ':', ';', '"', '[', ']']).collect();
    (0..groups.len()).any(|start| {
        let mut digits = Vec::new();
        groups[start..].iter().take_while(|group| group.bytes().all(|byte| byte.is_ascii_digit())).take(19).any(
            |group| {
                digits.extend(group.bytes().map(|digit| digit - b'0'));
                (13..=19).contains(&digits.len()) && is_checked(&digits)
            },
        )
    })
}

/// The check of Luhn.
fn is_checked(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| match (at % 2, u32::from(*digit)) {
            (0, digit) => digit,
            (_, digit) => digit * 2 / 10 + digit * 2 % 10,
        })
        .sum();
    sum.is_multiple_of(10) && digits.iter().any(|digit| *digit > 0)
}

/// A number as people group it at home: `06-12300022`, `(415) 555-2671`.
pub(crate) fn is_grouped_phone(text: &str) -> bool {
    let is_group = |c: char| matches!(c, '-' | ' ' | '(' | ')' | '/');
    let groups: Vec<&str> = text.split(is_group).filter(|group| !group.is_empty()).collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    // An area code comes first.
    groups.len() > 1
        && lengths[0] <= 5
        && groups.iter().all(|group| group.bytes().all(|byte| byte.is_ascii_digit()))
        && (lengths == [3, 3, 4]
            || groups[0].starts_with('0')
                && !groups[0].starts_with("00")
                && (9..=12).contains(&lengths.iter().sum::<usize>()))
}

/// The address of a machine, with a port or without.
pub(crate) fn is_address(text: &str) -> bool {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse::<std::net::IpAddr>().is_ok() || text.parse::<std::net::SocketAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards() {
        for (text, expected) in [
            ("4111111111111111", true),
            ("4111 1111 1111 1111", true),
            ("4111-1111-1111-1111", true),
            ("Visa 4111 1111 1111 1111, 12/29", true),
            ("378282246310005", true),
            ("4222222222222", true),
            ("4111 1111 1111 1111 12/29", true),
            (r#"["visa","4111111111111111"]"#, true),
            ("6304000000000000001", false),
            ("4111111111111112", false),
            ("411111111111", false),
            ("0000000000000000", false),
            ("visa", false),
            ("", false),
        ] {
            assert_eq!(has_card(text), expected, "{text}");
        }
    }
}
