//! Access control: which requests are accepted, and whether MSK or the emulator handles them.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Uri, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{bucket_policy, denied, monitoring::Door};
use crate::lab::cluster::{Kind, Refusal, is_region};

/// The region that a request was signed for.
#[derive(Clone)]
pub struct Region(pub String);

impl Default for Region {
    fn default() -> Self {
        Region("us-west-2".to_owned())
    }
}

/// Paths that are MSK's; without a signature they are refused here rather than passed on.
const MSK_PATHS: [&str; 8] = [
    "/v1/clusters",
    "/v1/configurations",
    "/v1/tags",
    "/v1/operations",
    "/v1/kafka-versions",
    "/v1/compatible-kafka-versions",
    "/api/v2/clusters",
    "/api/v2/operations",
];

/// Lets in what names this machine; MSK's calls go to the routes, CloudWatch's to the lab's own metrics where
/// they are about them, and the rest to the emulator.
pub async fn front(State(door): State<Door>, mut request: Request, next: Next) -> Response {
    if !names_loopback(request.uri(), request.headers()) {
        // A page in a browser can reach this port under a name of its own (DNS rebinding), but has to say so here.
        return Refusal::new(Kind::Forbidden, "the lab accepts only 127.0.0.1, localhost and [::1] in the Host header")
            .into_response();
    }
    if !is_from_here(request.headers()) {
        return Refusal::new(Kind::Forbidden, "the lab does not accept requests from other sites").into_response();
    }
    let path = request.uri().path();
    if path.starts_with("/_lab/") {
        return next.run(request).await;
    }
    let scope = scope(request.headers());
    let outage = scope.and_then(|scope| door.lab.outage(scope.key, scope.region));
    let mut response = match scope.map(|scope| (scope.region, scope.service)) {
        Some((region, "kafka")) if !is_region(region) => {
            Refusal::bad(format!("{region:?} in the signature is not a region")).into_response()
        }
        Some((region, "kafka")) => {
            if let Some(outage) = outage {
                return denied::refusal(outage).into_response();
            }
            if let Some(action) =
                denied::action(request.method(), path).filter(|action| door.lab.denied().contains(action))
            {
                return Refusal::new(Kind::AccessDenied, denied::message(&action)).into_response();
            }
            let region = Region(region.to_owned());
            request.extensions_mut().insert(region);
            next.run(request).await
        }
        // A browser cannot send this header to another site unasked, so unsigned calls change nothing.
        None if MSK_PATHS.iter().any(|msk| path.strip_prefix(msk).is_some_and(is_end_of_segment)) => {
            Refusal::new(Kind::Unplaced, "Missing Authentication Token").into_response()
        }
        Some((region, "monitoring")) if is_region(region) => {
            let region = region.to_owned();
            return door.monitoring(&region, outage, request).await;
        }
        Some((region, "ssm")) if is_region(region) => {
            let region = region.to_owned();
            return door.systems_manager(&region, request).await;
        }
        Some((_, "s3")) if bucket_policy::is_policy(&request) => {
            return bucket_policy::forward(&door.proxy, request).await;
        }
        _ => return door.proxy.forward(request).await,
    };
    if let Ok(id) = HeaderValue::from_str(&uuid::Uuid::new_v4().to_string()) {
        response.headers_mut().insert("x-amzn-RequestId", id);
    }
    response
}

fn is_end_of_segment(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with('/')
}

/// What a request was signed for, and with which key.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Scope<'a> {
    key: &'a str,
    region: &'a str,
    service: &'a str,
}

/// The scope of a request's signature: `AWS4-HMAC-SHA256 Credential=KEY/DATE/REGION/SERVICE/aws4_request, …`.
fn scope(headers: &HeaderMap) -> Option<Scope<'_>> {
    let authorization = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (_, rest) = authorization.split_once("Credential=")?;
    let credential = rest.split([',', ' ']).next()?;
    // Access keys may hold slashes, so it is read from the end.
    let mut parts = credential.rsplitn(5, '/');
    let (_terminator, service, region) = (parts.next()?, parts.next()?, parts.next()?);
    let (_date, key) = (parts.next()?, parts.next()?);
    Some(Scope { key, region, service })
}

/// Whether no browser sent this on behalf of a page of another site. AWS clients send no Origin at all.
fn is_from_here(headers: &HeaderMap) -> bool {
    headers.get_all(header::ORIGIN).iter().all(|origin| {
        let uri = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok());
        uri.and_then(|uri| uri.into_parts().authority).is_some_and(|authority| is_loopback(&authority))
    })
}

fn is_loopback(authority: &Authority) -> bool {
    !authority.as_str().contains('@') && ["127.0.0.1", "localhost", "[::1]"].contains(&authority.host())
}

fn names_loopback(uri: &Uri, headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let host = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
    [host.as_ref(), uri.authority()].iter().enumerate().all(|(i, authority)| match authority {
        Some(authority) => is_loopback(authority),
        // The target of a request need not repeat the host; the header has to be there.
        None => i == 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_let_in() {
        for (target, host, let_in) in [
            ("/", Some("127.0.0.1:4566"), true),
            ("/", Some("localhost"), true),
            ("/", Some("[::1]:4566"), true),
            ("/", Some("rebound.example:4566"), false),
            ("/", Some("127.0.0.1.example"), false),
            ("/", Some("localhost@rebound.example"), false),
            ("/", Some("rebound.example@localhost"), false),
            ("/", Some(""), false),
            ("/", None, false),
            ("http://rebound.example/", Some("127.0.0.1"), false),
            ("http://127.0.0.1/", Some("127.0.0.1"), true),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(host) = host {
                headers.insert(header::HOST, host.parse().unwrap());
            }
            assert_eq!(names_loopback(&target.parse().unwrap(), &headers), let_in, "{target} {host:?}");
        }
    }

    #[test]
    fn pages_of_other_sites_are_kept_out() {
        for (origin, let_in) in [
            (None, true),
            (Some("http://127.0.0.1:4566"), true),
            (Some("http://localhost:3000"), true),
            (Some("https://other.example"), false),
            (Some("null"), false),
        ] {
            let headers: HeaderMap =
                origin.map(|origin| (header::ORIGIN, origin.parse().unwrap())).into_iter().collect();
            assert_eq!(is_from_here(&headers), let_in, "{origin:?}");
        }
    }

    #[test]
    fn the_scope_is_read_from_its_end() {
        for (authorization, expected) in [
            (
                "AWS4-HMAC-SHA256 Credential=test/20261124/eu-west-1/kafka/aws4_request, SignedHeaders=host, Signature=0",
                Some(("test", "eu-west-1", "kafka")),
            ),
            ("AWS4-HMAC-SHA256 Credential=a/b/20261124/us-east-1/s3/aws4_request", Some(("a/b", "us-east-1", "s3"))),
            ("AWS4-HMAC-SHA256 Credential=test", None),
            ("Basic dGVzdA==", None),
        ] {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, authorization.parse().unwrap())]);
            let expected = expected.map(|(key, region, service)| Scope { key, region, service });
            assert_eq!(scope(&headers), expected, "{authorization}");
        }
    }
}
