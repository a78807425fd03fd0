//! From the body on the wire to the text inside: gzip, `data=` forms and base64, in whatever order a tracker wraps them.
//!
//! What the bytes are decides, never the content type: SDKs label gzip as a form, JSON as plain text, and so on.

use crate::{Fault, Limits, Request};
use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use std::borrow::Cow;
use std::io::Read;

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// Below this decoded size the ratio is not looked at: small batches of equal events compress very well.
const RATIO_FREE_BYTES: usize = 256 << 10;

/// Decodes base64 in either alphabet, with or without padding; a space stands for a `+` that a form decoder ate.
pub(crate) fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let is_break = |byte: &u8| matches!(byte, b'\r' | b'\n');
    let end = text.len() - text.iter().rev().take_while(|byte| is_break(byte)).count();
    let text = &text[text.iter().take_while(|byte| is_break(byte)).count().min(end)..end];
    if text.iter().any(|byte| matches!(byte, b'-' | b'_')) {
        URL_SAFE.decode(text).ok()
    } else if text.contains(&b' ') {
        let mended: Vec<u8> = text.iter().map(|byte| if *byte == b' ' { b'+' } else { *byte }).collect();
        STANDARD.decode(mended).ok()
    } else {
        STANDARD.decode(text).ok()
    }
}

fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b])
}

/// The text inside a request's body.
pub(crate) fn body<'a>(request: &Request<'a>, limits: &Limits) -> Result<Cow<'a, [u8]>, Fault> {
    if request.body.len() > limits.wire_bytes {
        return Err(too_large(limits));
    }
    if let Some(encoding) = request.header("content-encoding") {
        let known = encoding.split(',').all(|one| {
            let one = one.trim();
            one.is_empty() || ["gzip", "x-gzip", "identity"].iter().any(|known| one.eq_ignore_ascii_case(known))
        });
        if !known {
            return Err(Fault::new("unsupported_encoding", "only gzip bodies are understood")
                .at("content-encoding")
                .hint("send gzip or plain"));
        }
    }
    let asked_base64 = request.query.contains("compression=base64");
    let mut bytes = Cow::Borrowed(request.body);
    // gzip(form(base64(gzip(json)))) is the deepest wrapping seen; nothing sane is deeper.
    for _ in 0..4 {
        let trimmed = bytes.trim_ascii_start();
        if is_gzip(trimmed) {
            bytes = Cow::Owned(gunzip(trimmed, request.body.len(), limits)?);
        } else if matches!(trimmed.first(), None | Some(b'{' | b'[' | b'"')) {
            break;
        } else if let Some(value) = form_value(trimmed) {
            bytes = Cow::Owned(value);
        } else if asked_base64 || trimmed.starts_with(b"ey") || trimmed.starts_with(b"H4sI") {
            // `ey` is base64 of `{"`, `H4sI` of the gzip magic.
            match base64(trimmed) {
                Some(decoded) => bytes = Cow::Owned(decoded),
                None => break,
            }
        } else {
            break;
        }
    }
    Ok(bytes)
}

pub(crate) fn too_large(limits: &Limits) -> Fault {
    Fault::new("body_too_large", compact_str::format_compact!("the body is larger than {} bytes", limits.wire_bytes))
        .hint("send smaller batches")
}

/// `data=` (or Segment's old `body=`) of a form.
fn form_value(bytes: &[u8]) -> Option<Vec<u8>> {
    if !bytes.starts_with(b"data=") && memchr::memmem::find(bytes, b"&data=").is_none_or(|at| at >= 2_048) {
        return None;
    }
    let (_, value) = form_urlencoded::parse(bytes).find(|(key, _)| key == "data")?;
    let value = value.into_owned().into_bytes();
    if matches!(value.trim_ascii_start().first(), None | Some(b'{' | b'[')) {
        return Some(value);
    }
    Some(base64(&value).unwrap_or(value))
}

/// Bounded: neither the size nor the ratio of what comes out can run away.
fn gunzip(bytes: &[u8], wire_bytes: usize, limits: &Limits) -> Result<Vec<u8>, Fault> {
    let cap = limits.decoded_bytes.min((wire_bytes * limits.ratio).max(RATIO_FREE_BYTES));
    let mut out = Vec::with_capacity((bytes.len() * 4).min(cap));
    let read = flate2::read::MultiGzDecoder::new(bytes).take(cap as u64 + 1).read_to_end(&mut out);
    if out.len() > cap {
        return Err(Fault::new(
            "decoded_too_large",
            compact_str::format_compact!("the body decompresses to more than {cap} bytes"),
        )
        .hint("send smaller batches"));
    }
    match read {
        Ok(_) => Ok(out),
        Err(_) => Err(Fault::new("gzip_damaged", "the gzip body is damaged or cut off").hint("send it again")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).expect("in memory");
        encoder.finish().expect("in memory")
    }

    fn decode(body: &[u8], query: &str, headers: &[(&str, &str)]) -> Result<Vec<u8>, &'static str> {
        let request = Request {
            method: "POST",
            path: "/e/",
            query,
            headers,
            body,
            peer_ip: None,
            received_at_us: 0,
            daily_salt: None,
        };
        super::body(&request, &Limits::default()).map(Cow::into_owned).map_err(|fault| fault.code)
    }

    #[test]
    fn wrappings() {
        let json = br#"{"event":"a+b/c?>\u00ff","n":1}"#;
        let standard = STANDARD.encode(json);
        let url_safe = URL_SAFE.encode(json).trim_end_matches('=').to_owned();
        let form = |value: &str| {
            let mut form = form_urlencoded::Serializer::new(String::new());
            form.append_pair("data", value).append_pair("ip", "1");
            form.finish().into_bytes()
        };
        let plain_header: &[(&str, &str)] = &[("content-type", "text/plain")];
        for (name, body, query) in [
            ("plain", json.to_vec(), ""),
            ("gzip by magic alone", gzip(json), ""),
            ("gzip by query", gzip(json), "compression=gzip-js"),
            ("form with JSON", form(std::str::from_utf8(json).expect("text")), ""),
            ("form with base64", form(&standard), "compression=base64"),
            ("form with URL-safe base64 without padding", form(&url_safe), ""),
            ("form whose base64 was not escaped", format!("data={standard}").into_bytes(), ""),
            ("form with base64 of gzip", form(&STANDARD.encode(gzip(json))), ""),
            ("gzip of a form", gzip(&form(&standard)), ""),
            ("bare base64", standard.clone().into_bytes(), "compression=base64"),
            ("bare base64, not asked for", standard.clone().into_bytes(), ""),
        ] {
            assert_eq!(decode(&body, query, plain_header).as_deref(), Ok(&json[..]), "{name}");
        }
        assert_eq!(decode(&gzip(json), "", &[("content-encoding", "gzip")]).as_deref(), Ok(&json[..]));
        // A proxy that unpacks but leaves the header.
        assert_eq!(decode(json, "", &[("content-encoding", "gzip")]).as_deref(), Ok(&json[..]));
        assert_eq!(decode(json, "", &[("content-encoding", "br")]), Err("unsupported_encoding"));
        assert_eq!(decode(&gzip(json)[..20], "", &[]), Err("gzip_damaged"));
    }

    #[test]
    fn bombs_are_small() {
        assert_eq!(decode(&gzip(&vec![b' '; 5 << 20]), "", &[]), Err("decoded_too_large"));
        assert_eq!(decode(&gzip(&vec![b'a'; 1 << 20]), "", &[]), Err("decoded_too_large"), "ratio");
        assert_eq!(decode(&vec![b' '; (1 << 20) + 1], "", &[]), Err("body_too_large"));
        let mut nested = vec![b'{'; 100_000];
        for _ in 0..3 {
            nested = gzip(&nested);
        }
        assert!(decode(&nested, "", &[]).is_ok());
    }

    #[test]
    fn both_alphabets() {
        for text in ["-_8", "+/8", "+/8=", "-_8=", " /8="] {
            assert_eq!(base64(text.as_bytes()), Some(vec![0xfb, 0xff]), "{text}");
        }
        assert_eq!(base64(b"*"), None);
    }
}
