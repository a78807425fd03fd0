//! The rules of framing: how each is counted, and what the sender of a request that breaks one is told.

use super::framing::{FIELDS_MAX, HEAD_BYTES_MAX};
use crate::reply::{self, Response};
use http::StatusCode;

/// What was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    RequestLine,
    BareLineFeed,
    BareCarriageReturn,
    FoldedHeader,
    HeaderName,
    HeaderValue,
    HostMissing,
    HostTwice,
    HostValue,
    LengthTwice,
    LengthValue,
    LengthAndChunked,
    TransferEncoding,
    Chunk,
    HeadTooLong,
    FieldsTooMany,
}

impl Rule {
    /// As counted, and the code of the answer.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::RequestLine => "request_line",
            Self::BareLineFeed => "bare_lf",
            Self::BareCarriageReturn => "bare_cr",
            Self::FoldedHeader => "obs_fold",
            Self::HeaderName => "header_name",
            Self::HeaderValue => "header_value",
            Self::HostMissing => "host_missing",
            Self::HostTwice => "host_twice",
            Self::HostValue => "host_value",
            Self::LengthTwice => "length_twice",
            Self::LengthValue => "length_value",
            Self::LengthAndChunked => "length_and_chunked",
            Self::TransferEncoding => "transfer_encoding",
            Self::Chunk => "chunk",
            Self::HeadTooLong => "head_too_long",
            Self::FieldsTooMany => "fields_too_many",
        }
    }

    /// What the sender is told of a head that is refused.
    pub(crate) fn answer(self) -> Response {
        let why = match self {
            Self::RequestLine => "the request line is not METHOD target HTTP/1.1",
            Self::BareLineFeed => "a line does not end in CR LF",
            Self::BareCarriageReturn => "a line has a CR within",
            Self::FoldedHeader => "a header goes on in the next line",
            Self::HeaderName => "a header has no name, or one with characters that names can't have",
            Self::HeaderValue => "a header's value has control characters",
            Self::HostMissing => "there is no Host",
            Self::HostTwice => "there are two Hosts",
            Self::HostValue => "the Host is none",
            Self::LengthTwice => "there are two Content-Lengths",
            Self::LengthValue => "the Content-Length is not a number",
            Self::LengthAndChunked => "there is a Content-Length beside chunks",
            Self::TransferEncoding => "a Transfer-Encoding other than chunked is not read",
            Self::Chunk => "a chunk of the body is not framed as one",
            Self::HeadTooLong | Self::FieldsTooMany => {
                let title = format!(
                    "the request's head has more than {HEAD_BYTES_MAX} bytes or {FIELDS_MAX} header fields; send fewer \
                     headers (cookies, mostly) or a shorter address"
                );
                return reply::problem(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, self.as_str(), &title);
            }
        };
        let title = format!("{why}; what sends it, or a proxy on the way, has to be mended");
        reply::problem(StatusCode::BAD_REQUEST, self.as_str(), &title)
    }
}
