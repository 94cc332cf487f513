//! Bucket policies of S3, as the emulator can take them.
//!
//! It takes the conditions of a statement for fulfilled, so a bucket that denies requests without TLS, which the stack's
//! buckets do, would deny all of them. It is given a policy without the denials that have conditions, which carries the one that
//! was sent; whoever reads the policy gets that one.

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderName, HeaderValue, Method, header::CONTENT_LENGTH},
    response::Response,
};
use http_body_util::{BodyExt, Limited};
use serde_json::Value;

use super::body;
use crate::lab::proxy::Proxy;

/// Larger policies are not read: S3 refuses those above 20 KB (Amazon S3 User Guide, "Bucket policies").
const POLICY_MAX: usize = 64 << 10;

/// Where a policy carries the one that was sent.
const SENT: &str = "LabSent";

/// Sums of the body that was sent.
const SUMS: [&str; 7] = [
    "content-md5",
    "x-amz-checksum-crc32",
    "x-amz-checksum-crc32c",
    "x-amz-checksum-crc64nvme",
    "x-amz-checksum-sha1",
    "x-amz-checksum-sha256",
    "x-amz-sdk-checksum-algorithm",
];

/// Whether a call of S3 is about a bucket's policy.
pub fn is_policy(request: &Request) -> bool {
    let mut parameters = request.uri().query().unwrap_or_default().split('&');
    parameters.any(|parameter| parameter.split('=').next() == Some("policy"))
        && [Method::PUT, Method::GET].contains(request.method())
}

/// Passes such a call on, and its answer back.
pub async fn forward(proxy: &Proxy, request: Request) -> Response {
    if request.method() == Method::GET {
        return with_body(proxy.forward(request).await, sent).await;
    }
    let (mut parts, body) = request.into_parts();
    // What cannot be read whole is no policy: the emulator says so.
    let body = match body::read(body, POLICY_MAX).await {
        Ok(body) => body,
        Err(_) => return proxy.forward(Request::from_parts(parts, Body::empty())).await,
    };
    let Some(kept) = std::str::from_utf8(&body).ok().and_then(enforced) else {
        return proxy.forward(Request::from_parts(parts, Body::from(body))).await;
    };
    SUMS.into_iter().for_each(|name| drop(parts.headers.remove(HeaderName::from_static(name))));
    parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(kept.len()));
    proxy.forward(Request::from_parts(parts, Body::from(kept))).await
}

async fn with_body(answer: Response, change: fn(&str) -> Option<String>) -> Response {
    let (mut parts, body) = answer.into_parts();
    let Ok(body) = Limited::new(body, POLICY_MAX * 2).collect().await.map(|body| body.to_bytes()) else {
        return Response::from_parts(parts, Body::empty());
    };
    let Some(changed) = std::str::from_utf8(&body).ok().and_then(change) else {
        return Response::from_parts(parts, Body::from(body));
    };
    parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(changed.len()));
    Response::from_parts(parts, Body::from(changed))
}

/// The policy as the emulator is to have it; `None` where it can have the one that was sent.
fn enforced(policy: &str) -> Option<String> {
    let mut kept: Value = serde_json::from_str(policy).ok()?;
    let statements = kept.get_mut("Statement")?;
    if let Some(statement) = statements.as_object() {
        *statements = Value::Array(vec![Value::Object(statement.clone())]);
    }
    let statements = statements.as_array_mut()?;
    let before = statements.len();
    statements.retain(|statement| statement["Effect"] != "Deny" || statement.get("Condition").is_none());
    if statements.len() == before {
        return None;
    }
    kept.as_object_mut()?.insert(SENT.to_owned(), policy.into());
    Some(kept.to_string())
}

/// The policy that was sent; `None` where the emulator has that one.
fn sent(policy: &str) -> Option<String> {
    serde_json::from_str::<Value>(policy).ok()?.get(SENT)?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: Method, uri: &str) -> Request {
        Request::builder().method(method).uri(uri).body(Body::empty()).unwrap()
    }

    #[test]
    fn only_calls_about_a_policy_are_read() {
        assert!(
            is_policy(&request(Method::PUT, "/bucket?policy")) && is_policy(&request(Method::GET, "/b?x=1&policy="))
        );
        for (method, uri) in
            [(Method::PUT, "/bucket/policy"), (Method::GET, "/b?policyStatus"), (Method::DELETE, "/b?policy")]
        {
            assert!(!is_policy(&request(method, uri)), "{uri}");
        }
    }

    #[test]
    fn a_denial_with_a_condition_is_kept_for_the_reader_and_not_enforced() {
        let policy = r#"{ "Version": "2012-10-17", "Statement": [
            {"Effect": "Deny", "Action": "s3:*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}},
            {"Effect": "Deny", "Action": "s3:DeleteObject"} ] }"#;
        let kept = enforced(policy).unwrap();
        let statements = serde_json::from_str::<Value>(&kept).unwrap()["Statement"].clone();
        assert_eq!(statements, serde_json::json!([{"Effect": "Deny", "Action": "s3:DeleteObject"}]));
        assert_eq!(sent(&kept).as_deref(), Some(policy), "byte for byte");
        let single = r#"{"Statement": {"Effect": "Deny", "Condition": {}}}"#;
        assert_eq!(sent(&enforced(single).unwrap()).as_deref(), Some(single));
    }

    #[test]
    fn any_other_policy_is_the_emulators() {
        for policy in
            [r#"{"Statement": [{"Effect": "Allow", "Condition": {}}]}"#, "no JSON", "{}", r#"{"Statement": 1}"#]
        {
            assert_eq!((enforced(policy), sent(policy)), (None, None), "{policy}");
        }
    }
}
