//! Glob patterns as Redis matches them: `*`, `?`, `[a-c]`, `[^a]`, `\x`.

/// Whether the whole text fits the pattern. Time grows with the product of their lengths at most.
pub(super) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to go on when the last star takes one byte more.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p + 1, t));
            p += 1;
            continue;
        }
        match one(&pattern[p..], text[t]) {
            Some(taken) => {
                p += taken;
                t += 1;
            }
            None => match &mut star {
                Some((after, from)) => {
                    *from += 1;
                    (p, t) = (*after, *from);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// The text that every match begins with.
pub(super) fn literal_prefix(pattern: &[u8]) -> &[u8] {
    let end = pattern.iter().position(|byte| b"*?[\\".contains(byte));
    &pattern[..end.unwrap_or(pattern.len())]
}

/// How many bytes of the pattern one byte of the text uses up, if it fits.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [] => None,
        [b'?', ..] => Some(1),
        [b'\\', escaped, ..] => (*escaped == byte).then_some(2),
        [b'[', class @ ..] => {
            let (negated, begin) = if class.first() == Some(&b'^') { (true, 1) } else { (false, 0) };
            let mut at = begin;
            let mut fits = false;
            loop {
                match &class[at.min(class.len())..] {
                    // An open class ends with the pattern, as in Redis.
                    [] | [b']', ..] => break,
                    [b'\\', escaped, ..] => {
                        fits |= *escaped == byte;
                        at += 2;
                    }
                    [low, b'-', high, ..] if *high != b']' => {
                        let (low, high) = if low <= high { (low, high) } else { (high, low) };
                        fits |= (*low..=*high).contains(&byte);
                        at += 3;
                    }
                    [single, ..] => {
                        fits |= *single == byte;
                        at += 1;
                    }
                }
            }
            (fits != negated).then_some((at + 2).min(pattern.len()))
        }
        [literal, ..] => (*literal == byte).then_some(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_redis_does() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("user:*", "user:u1:x", true),
            ("user:*", "session:u1", false),
            ("*:x", "user:u1:x", true),
            ("*u1*", "user:u1:x", true),
            ("a**b", "ab", true),
            ("h?llo", "hello", true),
            ("h?llo", "hllo", false),
            ("h[ae]llo", "hallo", true),
            ("h[ae]llo", "hillo", false),
            ("h[^e]llo", "hallo", true),
            ("h[^e]llo", "hello", false),
            ("h[a-c]llo", "hbllo", true),
            ("h[c-a]llo", "hbllo", true),
            ("h[a-c]llo", "hdllo", false),
            ("h\\*llo", "h*llo", true),
            ("h\\*llo", "hello", false),
            ("[\\]]", "]", true),
            ("[abc", "b", true),
            ("a\\", "a\\", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), fits, "{pattern} {text}");
        }
        // The classic bomb ends.
        assert!(!matches(&[b"*a".repeat(30), b"b".to_vec()].concat(), &[b'a'; 5_000]));
        assert_eq!(literal_prefix(b"user:u1*x"), b"user:u1");
    }
}
