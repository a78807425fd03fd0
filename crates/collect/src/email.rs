//! Finds e-mail addresses in text, also percent-encoded ones.

/// Where the next e-mail address begins and ends.
pub(crate) fn find_email(text: &str, from: usize) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let mut at = from;
    loop {
        at += memchr::memchr2(b'@', b'%', bytes.get(at..)?)?;
        let sign = match escaped(bytes, at) {
            _ if bytes[at] == b'@' => 1,
            Some((b'@', length)) => length,
            _ => {
                at += 1;
                continue;
            }
        };
        let is_domain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-') || byte >= 0x80;
        let start = local_start(bytes, from, at);
        // The domain, to behind its last letter; dots and hyphens may be escaped.
        let (mut next, mut end, mut dots, mut has_dot) = (at + sign, at + sign, false, false);
        while next - (at + sign) < 255 && next < bytes.len() {
            let (byte, length) = escaped(bytes, next).unwrap_or((bytes[next], 1));
            if !is_domain(byte) || length > 1 && byte >= 0x80 {
                break;
            }
            next += length;
            match byte {
                b'.' => dots = true,
                b'-' => {}
                _ => {
                    end = next;
                    has_dot |= dots;
                }
            }
        }
        if start < at && has_dot && text.is_char_boundary(start) && text.is_char_boundary(end) {
            return Some((start, end));
        }
        at += sign;
    }
}

/// Where the part before the sign of an e-mail address begins, at most 64 bytes before it.
fn local_start(bytes: &[u8], from: usize, sign: usize) -> usize {
    // `"jane doe"@example.com`
    if sign > from && bytes[sign - 1] == b'"' {
        let within = from.max(sign.saturating_sub(66));
        let opens = bytes[within..sign - 1].iter().rposition(|byte| *byte == b'"').map(|at| within + at);
        // What stands between two texts of JSON (`":"@jane.doe"`) is no name of anybody's.
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte >= 0x80;
        let quoted = |at: &usize| &bytes[at + 1..sign - 1];
        let of_name = |at: &usize| quoted(at).first().is_some_and(is_name) && quoted(at).last().is_some_and(is_name);
        return opens.filter(of_name).unwrap_or(sign);
    }
    let is_local = |byte: u8| byte.is_ascii_alphanumeric() || b".!#$'*+_`{|}~-^".contains(&byte) || byte >= 0x80;
    let mut start = sign;
    while start > from && sign - start < 64 {
        let before = bytes[start - 1];
        if is_local(before) {
            start -= 1;
        } else if before == b'%'
            && let Some((byte, length)) = escaped(bytes, start - 1)
        {
            // `%2B` is part of it, `%3D` is not.
            if !is_local(byte) {
                return (start - 1 + length).min(sign);
            }
            start -= 1;
        } else {
            break;
        }
    }
    start
}

/// The byte that a percent code stands for, however often it was encoded (`%40`, `%2540`), and the length of the code.
fn escaped(bytes: &[u8], at: usize) -> Option<(u8, usize)> {
    if bytes[at] != b'%' {
        return None;
    }
    let digit = |at: usize| bytes.get(at).and_then(|byte| (*byte as char).to_digit(16));
    let mut code = at + 1;
    // No more often than anything encodes in earnest: text of nothing but 25 is read in one pass all the same.
    while code < at + 9
        && bytes.get(code..code + 2) == Some(b"25")
        && digit(code + 2).is_some()
        && digit(code + 3).is_some()
    {
        code += 2;
    }
    let byte = digit(code)? * 16 + digit(code + 1)?;
    Some((u8::try_from(byte).ok()?, code + 2 - at))
}
