//! The front ends in the binary, with their hash as ETag and compressed once.

use crate::reply::{self, Response};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY};
use http::{HeaderMap, HeaderValue, StatusCode};
use rust_embed::{EmbeddedFile, RustEmbed};
use std::collections::HashMap;
use std::io::Write;

#[derive(RustEmbed)]
#[folder = "../../web/console/dist"]
#[allow_missing = true]
struct ConsoleFiles;

#[derive(RustEmbed)]
#[folder = "../../web/store/dist"]
#[allow_missing = true]
struct StoreFiles;

#[derive(RustEmbed)]
#[folder = "../../web/tracker/dist"]
#[allow_missing = true]
struct TrackerFiles;

/// A front end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Site {
    Console,
    Store,
    Tracker,
}

/// Every embedded file, ready to send.
pub(crate) struct Assets(HashMap<(Site, String), Asset>);

struct Asset {
    content_type: HeaderValue,
    etag: HeaderValue,
    bytes: Bytes,
    /// Smaller than `bytes`, where that was worth it.
    gzip: Option<Bytes>,
}

impl Assets {
    pub(crate) fn load() -> Self {
        let mut files = HashMap::new();
        add::<ConsoleFiles>(Site::Console, &mut files);
        add::<StoreFiles>(Site::Store, &mut files);
        add::<TrackerFiles>(Site::Tracker, &mut files);
        Self(files)
    }

    /// A file, or the page of a path that has none (pages find their way themselves).
    pub(crate) fn serve(&self, site: Site, path: &str, headers: &HeaderMap) -> Response {
        let is_page = !path.rsplit('/').next().unwrap_or_default().contains('.');
        let path = if is_page { "index.html" } else { path };
        match self.0.get(&(site, path.to_owned())) {
            Some(asset) => asset.serve(headers),
            None if is_page && !self.0.keys().any(|(known, _)| *known == site) => not_built(site),
            None => reply::problem(StatusCode::NOT_FOUND, "route_unknown", "nothing is served at this path"),
        }
    }
}

impl Asset {
    fn serve(&self, headers: &HeaderMap) -> Response {
        let has = |name, wanted: &str| {
            headers.get(name).and_then(|value| value.to_str().ok()).is_some_and(|value: &str| value.contains(wanted))
        };
        let is_known = has(IF_NONE_MATCH, self.etag.to_str().unwrap_or_default());
        let mut response = if is_known {
            reply::empty(StatusCode::NOT_MODIFIED)
        } else {
            let gzip = self.gzip.clone().filter(|_| has(ACCEPT_ENCODING, "gzip"));
            let is_gzip = gzip.is_some();
            let mut response = Response::new(gzip.unwrap_or_else(|| self.bytes.clone()).into());
            if is_gzip {
                response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
            response.headers_mut().insert(CONTENT_TYPE, self.content_type.clone());
            response
        };
        let headers = response.headers_mut();
        headers.insert(ETAG, self.etag.clone());
        headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
        // File names stay the same from build to build: browsers ask, and mostly hear 304.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        response
    }
}

fn add<E: RustEmbed>(site: Site, files: &mut HashMap<(Site, String), Asset>) {
    for path in E::iter() {
        let Some(EmbeddedFile { data, metadata }) = E::get(&path) else { continue };
        let etag: String = metadata.sha256_hash()[..12].iter().map(|byte| format!("{byte:02x}")).collect();
        let mut content_type = metadata.mimetype().to_owned();
        if content_type.starts_with("text/") && !content_type.contains("charset") {
            content_type.push_str("; charset=utf-8");
        }
        let bytes = Bytes::from(data.into_owned());
        let asset = Asset {
            content_type: HeaderValue::from_str(&content_type)
                .unwrap_or_else(|_| HeaderValue::from_static("application/octet-stream")),
            // Weak, as it stands for both encodings.
            etag: HeaderValue::from_str(&format!("W/\"{etag}\""))
                .unwrap_or_else(|_| HeaderValue::from_static("W/\"0\"")),
            gzip: gzip(&bytes),
            bytes,
        };
        files.insert((site, path.into_owned()), asset);
    }
}

/// The compressed form, if it is at least a tenth smaller.
fn gzip(bytes: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).ok()?;
    let packed = encoder.finish().ok()?;
    (packed.len() < bytes.len() / 10 * 9).then(|| packed.into())
}

fn not_built(site: Site) -> Response {
    let (name, folder) = match site {
        Site::Console => ("console", "web/console"),
        Site::Store => ("demo shop", "web/store"),
        Site::Tracker => ("tracker", "web/tracker"),
    };
    let page = format!(
        "<!doctype html><meta charset=utf-8><title>midsession</title><h1>The {name} is not in this binary</h1>\
         <p>It was compiled before the front ends were built. Run <code>npm ci &amp;&amp; npm run build</code> in \
         <code>web/</code> (it fills <code>{folder}/dist</code>) and compile again."
    );
    reply::with_type(StatusCode::NOT_FOUND, "text/html; charset=utf-8", page)
}
