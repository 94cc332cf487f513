//! Users and passwords out of the emulator's Secrets Manager.

use axum::{
    body::{Body, to_bytes},
    http::{Request, header},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::proxy::Proxy;

/// What MSK asks of a secret's name (MSK Developer Guide, "Sign-in credentials authentication with AWS Secrets Manager").
const PREFIX: &str = "AmazonMSK_";

/// Bytes of an answer at most: a secret has 64 KiB.
const ANSWER_MAX: usize = 256 * 1024;

/// What a secret for MSK holds.
#[derive(Clone, Deserialize)]
pub struct Login {
    pub username: String,
    pub password: String,
}

/// Why there is no user in a secret, as MSK tells it for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoLogin {
    pub code: &'static str,
    pub message: String,
}

/// The user in the secret `arn`.
///
/// # Errors
/// It is no secret's ARN, not named as MSK wants it, not there, or holds something else.
pub async fn login(proxy: &Proxy, arn: &str) -> Result<Login, NoLogin> {
    let invalid = |message: String| NoLogin { code: "InvalidSecretArn", message };
    let parts: Vec<&str> = arn.splitn(7, ':').collect();
    let &["arn", _, "secretsmanager", region, _, "secret", name] = parts.as_slice() else {
        return Err(invalid(format!("{arn:?} is not the ARN of a secret")));
    };
    if !name.starts_with(PREFIX) {
        return Err(invalid(format!("the secret's name must begin with {PREFIX}")));
    }
    let secret = read(proxy, region, arn).await?;
    let text = secret["SecretString"].as_str().unwrap_or_default();
    serde_json::from_str(text).map_err(|_| NoLogin {
        code: "InvalidSecret",
        message: "the secret must hold {\"username\": …, \"password\": …}".to_owned(),
    })
}

async fn read(proxy: &Proxy, region: &str, arn: &str) -> Result<Value, NoLogin> {
    let failed = |code, message: String| NoLogin { code, message };
    let request = Request::post("/")
        .header(header::HOST, format!("secretsmanager.{region}.amazonaws.com"))
        .header(header::CONTENT_TYPE, "application/x-amz-json-1.1")
        .header("x-amz-target", "secretsmanager.GetSecretValue")
        // The emulator reads the region here and checks nothing.
        .header(
            header::AUTHORIZATION,
            format!("AWS4-HMAC-SHA256 Credential=lab/20260101/{region}/secretsmanager/aws4_request, Signature=0"),
        )
        .body(Body::from(json!({ "SecretId": arn }).to_string()))
        .map_err(|error| failed("InvalidSecretArn", error.to_string()))?;
    let answer = proxy.forward(request).await;
    let found = answer.status().is_success();
    let unreadable = |error: String| failed("InternalServerError", format!("reading the secret: {error}"));
    let body = to_bytes(answer.into_body(), ANSWER_MAX).await.map_err(|error| unreadable(error.to_string()))?;
    let value: Value = serde_json::from_slice(&body).map_err(|error| unreadable(error.to_string()))?;
    match found {
        true => Ok(value),
        false => {
            let reason = value["message"].as_str().or(value["Message"].as_str()).unwrap_or("it cannot be read");
            Err(failed("NoSuchSecret", reason.to_owned()))
        }
    }
}
