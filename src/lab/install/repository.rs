//! Which Maven repository has the jars: the one that kgen, Maven or nobody was told about.

/// Maven Central, as Maven itself names it.
const CENTRAL: &str = "https://repo.maven.apache.org/maven2";

/// What a Maven settings.xml says that matters here.
#[derive(Debug, Default, PartialEq)]
pub struct Settings {
    /// The mirror of Maven Central.
    pub mirror: Option<String>,
    /// The folder of what Maven has fetched already.
    pub local: Option<String>,
}

impl Settings {
    /// Reads a settings.xml. Takes text that is no XML for one that says nothing.
    pub fn parse(xml: &str) -> Settings {
        let xml = without_comments(xml);
        let mirror = elements(&xml, "mirror").into_iter().find_map(|mirror| {
            let value = |name| elements(mirror, name).first().map(|text| unescaped(text.trim()));
            let is_usable = value("blocked").as_deref() != Some("true") && mirrors_central(&value("mirrorOf")?);
            value("url").filter(|_| is_usable)
        });
        let local = elements(&xml, "localRepository").first().map(|text| unescaped(text.trim()));
        Settings { mirror, local: local.filter(|folder| !folder.is_empty()) }
    }
}

/// The repository's URL, without a slash at its end: what kgen was told, else Maven's mirror, else Maven Central.
pub fn url(told: Option<&str>, settings: &Settings) -> String {
    let url = told.filter(|url| !url.is_empty()).or(settings.mirror.as_deref()).unwrap_or(CENTRAL);
    url.trim_end_matches('/').to_owned()
}

/// Whether a `mirrorOf` covers Maven Central (maven.apache.org/guides/mini/guide-mirror-settings.html).
fn mirrors_central(mirror_of: &str) -> bool {
    let names: Vec<&str> = mirror_of.split(',').map(str::trim).collect();
    !names.contains(&"!central") && names.iter().any(|name| ["*", "external:*", "central"].contains(name))
}

fn without_comments(xml: &str) -> String {
    let mut parts = xml.split("<!--");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once("-->").map_or("", |(_, rest)| rest))
}

/// What stands between each `<name>` and its end.
fn elements<'a>(xml: &'a str, name: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    xml.split(open.as_str()).skip(1).filter_map(|rest| Some(rest.split_once(close.as_str())?.0)).collect()
}

fn unescaped(text: &str) -> String {
    [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")]
        .iter()
        .fold(text.to_owned(), |text, (escaped, sign)| text.replace(escaped, sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_of_central_is_taken_from_mavens_settings() {
        let mirror = |of: &str, more: &str| {
            format!(
                "<settings><mirrors><mirror><id>m</id><mirrorOf>{of}</mirrorOf><url>https://m/a?b&amp;c</url>{more}</mirror></mirrors></settings>"
            )
        };
        for (xml, expected) in [
            (mirror("*", ""), Some("https://m/a?b&c")),
            (mirror("central", ""), Some("https://m/a?b&c")),
            (mirror("external:*, !snapshots", ""), Some("https://m/a?b&c")),
            (mirror("*,!central", ""), None),
            (mirror("external:http:*", ""), None),
            (mirror("*", "<blocked>true</blocked>"), None),
            (format!("<!-- {} -->", mirror("*", "")), None),
            (String::new(), None),
            ("<mirror><mirrorOf>*</mirrorOf>".to_owned(), None),
        ] {
            assert_eq!(Settings::parse(&xml).mirror.as_deref(), expected, "{xml}");
        }
        let local = Settings::parse("<settings><localRepository> /srv/m2 </localRepository></settings>").local;
        assert_eq!(local.as_deref(), Some("/srv/m2"));
    }

    #[test]
    fn what_kgen_was_told_goes_first() {
        let settings = Settings { mirror: Some("https://mirror/".to_owned()), local: None };
        assert_eq!(url(Some("https://told/maven2/"), &settings), "https://told/maven2");
        assert_eq!(url(Some(""), &settings), "https://mirror");
        assert_eq!(url(None, &Settings::default()), CENTRAL);
    }
}
