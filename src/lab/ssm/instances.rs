//! The EC2 instances of the lab, which the emulator keeps: what Systems Manager has to know of them.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use xmlparser::{ElementEnd, Token, Tokenizer};

use super::emulator::Emulator;

/// Bytes of its answer.
const MOST_BYTES: usize = 16 << 20;

/// The most that are taken from one answer.
const MOST_INSTANCES: usize = 1000;

/// Where an instance stands in the answer.
const INSTANCE: &str = "DescribeInstancesResponse/reservationSet/item/instancesSet/item";

/// An instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Instance {
    pub id: String,
    pub state: String,
    pub address: String,
    /// Its role's profile; without one no agent registers.
    pub profile: Option<String>,
    pub tags: BTreeMap<String, String>,
}

impl Instance {
    /// Whether its agent is there: it runs, and has a role with which the agent can register.
    pub fn is_online(&self) -> bool {
        self.state == "running" && self.profile.is_some()
    }
}

/// The instances of the emulator's region.
///
/// # Errors
/// The emulator does not answer, or not as EC2 does.
pub async fn list(emulator: Emulator<'_>) -> anyhow::Result<Vec<Instance>> {
    let form = [("content-type", "application/x-www-form-urlencoded; charset=utf-8")];
    let (status, bytes) = emulator
        .post("ec2", &form, "Action=DescribeInstances&Version=2016-11-15".to_owned())
        .await
        .context("asking the emulator for the instances")?;
    ensure!(status.is_success(), "the emulator answered {status} to DescribeInstances");
    ensure!(bytes.len() <= MOST_BYTES, "the emulator's answer is too long");
    read(std::str::from_utf8(&bytes).context("the instances")?)
}

/// The user data that the instance `id` was made with, if it was made with any.
///
/// # Errors
/// As [`list`].
pub async fn user_data(emulator: Emulator<'_>, id: &str) -> anyhow::Result<Option<Vec<u8>>> {
    let form = [("content-type", "application/x-www-form-urlencoded; charset=utf-8")];
    let asked = format!("Action=DescribeInstanceAttribute&Version=2016-11-15&Attribute=userData&InstanceId={id}");
    let (status, bytes) =
        emulator.post("ec2", &form, asked).await.context("asking the emulator for the user data of an instance")?;
    ensure!(status.is_success(), "the emulator answered {status} to DescribeInstanceAttribute");
    ensure!(bytes.len() <= MOST_BYTES, "the emulator's answer is too long");
    let Some(text) = attribute(std::str::from_utf8(&bytes).context("the user data")?)? else { return Ok(None) };
    Ok(Some(BASE64_STANDARD.decode(text.trim()).context("the user data is not Base64")?))
}

/// Reads an answer of DescribeInstanceAttribute.
fn attribute(xml: &str) -> anyhow::Result<Option<String>> {
    let (mut path, mut found): (Vec<&str>, _) = (Vec::new(), None);
    for token in Tokenizer::from(xml) {
        match token.context("the emulator's answer is not XML")? {
            Token::ElementStart { local, .. } => path.push(local.as_str()),
            Token::Text { text } if path == ["DescribeInstanceAttributeResponse", "userData", "value"] => {
                found = Some(unescaped(text.as_str()));
            }
            Token::ElementEnd { end: ElementEnd::Close(..) | ElementEnd::Empty, .. } => drop(path.pop()),
            _ => {}
        }
    }
    ensure!(path.is_empty(), "the emulator's answer breaks off");
    Ok(found)
}

/// Reads an answer of DescribeInstances.
fn read(xml: &str) -> anyhow::Result<Vec<Instance>> {
    let mut path: Vec<&str> = Vec::new();
    let (mut instances, mut instance, mut key) = (Vec::new(), Instance::default(), String::new());
    for token in Tokenizer::from(xml) {
        match token.context("the emulator's answer is not XML")? {
            Token::ElementStart { local, .. } => path.push(local.as_str()),
            Token::Text { text } => {
                let place = path.join("/");
                let Some(within) = place.strip_prefix(INSTANCE).and_then(|rest| rest.strip_prefix('/')) else {
                    continue;
                };
                let text = unescaped(text.as_str());
                match within {
                    "instanceId" => instance.id = text,
                    "instanceState/name" => instance.state = text,
                    "privateIpAddress" => instance.address = text,
                    "iamInstanceProfile/arn" => instance.profile = Some(text),
                    "tagSet/item/key" => key = text,
                    "tagSet/item/value" => drop(instance.tags.insert(std::mem::take(&mut key), text)),
                    _ => {}
                }
            }
            Token::ElementEnd { end: ElementEnd::Close(..) | ElementEnd::Empty, .. } => {
                if path.join("/") == INSTANCE {
                    instances.push(std::mem::take(&mut instance));
                    ensure!(instances.len() <= MOST_INSTANCES, "more than {MOST_INSTANCES} instances");
                }
                path.pop();
            }
            _ => {}
        }
    }
    ensure!(path.is_empty(), "the emulator's answer breaks off");
    instances.retain(|instance: &Instance| !instance.id.is_empty());
    Ok(instances)
}

fn unescaped(text: &str) -> String {
    let named = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&#34;", "\""), ("&#39;", "'")];
    let text = named.iter().fold(text.to_owned(), |text, (entity, sign)| text.replace(entity, sign));
    text.replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_data_is_read() {
        let read = |inner: &str| {
            let xml = format!(
                "<?xml version=\"1.0\"?><DescribeInstanceAttributeResponse xmlns=\"x\"><instanceId>i-1</instanceId>{inner}\
                 </DescribeInstanceAttributeResponse>"
            );
            attribute(&xml).unwrap()
        };
        assert_eq!(read("<userData><value>IyEv</value></userData>").as_deref(), Some("IyEv"));
        assert_eq!(read("<userData/>"), None);
        assert_eq!(read("<userData><value/></userData>"), None);
        assert!(attribute("<a").is_err());
    }

    #[test]
    fn instances_are_read_with_their_tags() {
        let xml = r#"<?xml version="1.0"?><DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">
            <requestId>x</requestId><reservationSet><item><groupSet><item><groupId>sg-1</groupId></item></groupSet>
            <instancesSet>
            <item><instanceId>i-1</instanceId><instanceState><code>16</code><name>running</name></instanceState>
              <privateIpAddress>10.0.0.1</privateIpAddress>
              <networkInterfaceSet><item><privateIpAddress>10.9.9.9</privateIpAddress><groupSet/></item></networkInterfaceSet>
              <iamInstanceProfile><arn>arn:p</arn></iamInstanceProfile>
              <tagSet><item><key>Name</key><value>a &amp; b</value></item><item><key>x</key><value>1</value></item></tagSet>
            </item>
            <item><instanceId>i-2</instanceId><instanceState><name>terminated</name></instanceState></item>
            </instancesSet></item></reservationSet></DescribeInstancesResponse>"#;
        let instances = read(xml).unwrap();
        assert_eq!(instances.len(), 2);
        assert_eq!((instances[0].id.as_str(), instances[0].address.as_str()), ("i-1", "10.0.0.1"));
        assert_eq!(instances[0].tags["Name"], "a & b");
        assert_eq!(instances[0].tags.len(), 2);
        assert_eq!(instances.iter().map(Instance::is_online).collect::<Vec<_>>(), [true, false]);
        assert!(read("<a><b").is_err() && read("").unwrap().is_empty());
    }
}
