//! The secrets that users of SASL/SCRAM come from.

use std::sync::Arc;

use axum::{Extension, Json, Router, extract::State, routing::get};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    kafka::scram::Credential,
    lab::{
        cluster::{ControlPlane, Refusal, ScramSecret},
        control::Lab,
        proxy::Proxy,
        secrets::{NoLogin, login},
    },
};

use super::{
    Answer,
    extract::{Body, InPath, Parameters, decide},
    list,
};

pub fn routes() -> Router<Arc<Lab>> {
    Router::new().route("/v1/clusters/{arn}/scram-secrets", get(secrets).post(associate).patch(disassociate))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Secrets {
    secret_arn_list: Vec<String>,
}

async fn secrets(State(lab): State<Arc<Lab>>, InPath(arn): InPath<String>, parameters: Parameters) -> Answer {
    let plane = lab.plane();
    let arns = plane.cluster(&arn)?.scram_secrets.iter().map(|secret| Value::from(secret.arn.as_str()));
    Ok(list("secretArnList", parameters.page(arns)?))
}

async fn associate(
    State(lab): State<Arc<Lab>>,
    Extension(proxy): Extension<Proxy>,
    InPath(arn): InPath<String>,
    Body(request): Body<Secrets>,
) -> Answer {
    lab.plane().takes_scram_secrets(&arn, request.secret_arn_list.len())?;
    let (mut known, mut credentials, mut unprocessed) = (Vec::new(), Vec::new(), Vec::new());
    for secret in request.secret_arn_list {
        match login(&proxy, &secret).await {
            Ok(login) => {
                known.push(ScramSecret { arn: secret, user: login.username.clone() });
                credentials.push(Credential::Set { user: login.username, password: login.password });
            }
            Err(reason) => unprocessed.push((secret, reason)),
        }
    }
    altered(lab, arn, credentials, unprocessed, move |plane, arn| plane.associate(arn, &known)).await
}

async fn disassociate(
    State(lab): State<Arc<Lab>>,
    InPath(arn): InPath<String>,
    Body(request): Body<Secrets>,
) -> Answer {
    let (mut gone, mut unprocessed) = (Vec::new(), Vec::new());
    {
        let plane = lab.plane();
        let cluster = plane.takes_scram_secrets(&arn, request.secret_arn_list.len())?;
        for secret in request.secret_arn_list {
            match cluster.scram_secrets.iter().find(|known| known.arn == secret) {
                Some(known) => gone.push(known.clone()),
                None => {
                    let message = format!("the secret is not associated with the cluster {}", cluster.name);
                    unprocessed.push((secret, NoLogin { code: "NoSuchSecret", message }));
                }
            }
        }
    }
    let removed = gone.iter().map(|secret| Credential::Removed { user: secret.user.clone() }).collect();
    altered(lab, arn, removed, unprocessed, move |plane, arn| plane.disassociate(arn, &gone)).await
}

/// Has the brokers take over the users, then the plane the secrets, and tells those that were passed over.
async fn altered(
    lab: Arc<Lab>,
    arn: String,
    credentials: Vec<Credential>,
    unprocessed: Vec<(String, NoLogin)>,
    change: impl FnOnce(&mut ControlPlane, &str) -> Result<(), Refusal> + Send + 'static,
) -> Answer {
    lab.alter_users(&arn, credentials).await?;
    decide(lab, move |plane| {
        change(plane, &arn)?;
        let unprocessed = unprocessed.into_iter().map(|(secret, NoLogin { code, message })| {
            json!({ "secretArn": secret, "errorCode": code, "errorMessage": message })
        });
        let unprocessed: Vec<Value> = unprocessed.collect();
        Ok((Json(json!({ "clusterArn": arn, "unprocessedScramSecrets": unprocessed })), None))
    })
    .await
}
