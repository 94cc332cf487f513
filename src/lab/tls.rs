//! The certificates of the lab's TLS listeners: an authority of its own, and one certificate for every broker.
//!
//! The authority's key is thrown away as soon as the brokers' certificate is signed: trusting `ca.pem` trusts this
//! lab's brokers and nothing that could be made later.

use std::{
    fs::Permissions,
    net::{IpAddr, Ipv4Addr},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::Context;
use jiff::{ToSpan, civil::Date};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};

use crate::files::own;

/// How long certificates are good for, days; some clients refuse more than 825.
const VALID_DAYS: i32 = 800;
/// Days before their end in which certificates are recreated, longer than a lab runs.
const RENEW_DAYS: i32 = 30;
/// What stands before the date in the first line of `ca.pem`; text there is no part of a PEM file's contents.
const UNTIL: &str = "kgen lab, valid until ";

/// Where the certificates of a lab are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificates {
    /// What clients trust (`ssl.ca.location`).
    pub ca: PathBuf,
    /// Key and certificate of the brokers, as Kafka's PEM keystore; for its owner alone.
    pub keystore: PathBuf,
}

impl Certificates {
    /// Names in `dir`; nothing need be there.
    pub fn in_dir(dir: &Path) -> Certificates {
        Certificates { ca: dir.join("ca.pem"), keystore: dir.join("broker.pem") }
    }

    /// The certificates in `dir`, made if there are none, or none for much longer.
    ///
    /// # Errors
    /// The files cannot be written.
    pub fn open(dir: &Path, today: Date) -> anyhow::Result<Certificates> {
        // Brokers run in folders of their own.
        let dir = std::path::absolute(dir).with_context(|| format!("resolving {}", dir.display()))?;
        let certificates = Certificates::in_dir(&dir);
        let renew_from = today.checked_add(RENEW_DAYS.days()).context("reading the date")?;
        own::check_folder(&dir).with_context(|| format!("looking at {}", dir.display()))?;
        if certificates.keystore.is_file() && certificates.until().is_some_and(|until| until > renew_from) {
            return Ok(certificates);
        }
        certificates.make(&dir, today).with_context(|| format!("creating certificates in {}", dir.display()))?;
        Ok(certificates)
    }

    fn until(&self) -> Option<Date> {
        String::from_utf8(own::read(&self.ca).ok()?).ok()?.lines().next()?.strip_prefix(UNTIL)?.parse().ok()
    }

    fn make(&self, dir: &Path, today: Date) -> anyhow::Result<()> {
        // A day back, for whoever's clock is behind.
        let (from, until) = (today.checked_sub(1.day())?, today.checked_add(VALID_DAYS.days())?);
        let ca = CertifiedIssuer::self_signed(authority(from, until), KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let certificate = broker(from, until)?.signed_by(&key, &ca)?;

        own::make_folder(dir, 0o777)?;
        // The authority comes last, and without it nothing here is taken for made.
        let _ = own::remove_file(&self.ca);
        let keystore = format!("{}{}{}", key.serialize_pem(), certificate.pem(), ca.pem());
        // A replaced file keeps the mode of the one before: nobody else reads the key, not even for a moment.
        own::create(&self.keystore, 0o600)?.set_permissions(Permissions::from_mode(0o600))?;
        own::replace(&self.keystore, keystore.as_bytes())?;
        own::replace(&self.ca, format!("{UNTIL}{until}\n{}", ca.pem()).as_bytes())?;
        Ok(())
    }
}

fn authority(from: Date, until: Date) -> CertificateParams {
    let mut params = dated("kgen lab authority", from, until);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn broker(from: Date, until: Date) -> anyhow::Result<CertificateParams> {
    let mut params = dated("kgen lab broker", from, until);
    let localhost = SanType::DnsName("localhost".try_into()?);
    params.subject_alt_names = vec![SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)), localhost];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn dated(name: &str, from: Date, until: Date) -> CertificateParams {
    let moment = |date: Date| date_time_ymd(date.year().into(), date.month() as u8, date.day() as u8);
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    (params.not_before, params.not_after) = (moment(from), moment(until));
    params
}

#[cfg(test)]
mod tests {
    use std::fs;

    use jiff::civil::date;

    use super::*;

    #[test]
    fn certificates_are_kept_until_their_end_is_near() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("tls");
        let read = |certificates: &Certificates| {
            (fs::read_to_string(&certificates.ca).unwrap(), fs::read_to_string(&certificates.keystore).unwrap())
        };
        let first = read(&Certificates::open(&dir, date(2026, 1, 31)).unwrap());
        assert!(first.0.starts_with("kgen lab, valid until 2028-04-10\n-----BEGIN CERTIFICATE-----"), "{}", first.0);
        for (today, kept) in [
            (date(2026, 1, 31), true),
            (date(2028, 3, 10), true),
            (date(2028, 3, 11), false),
            (date(2030, 1, 1), false),
        ] {
            let again = Certificates::open(&dir, date(2026, 1, 31)).unwrap();
            let before = read(&again);
            let after = read(&Certificates::open(&dir, today).unwrap());
            assert_eq!(before == after, kept, "{today}");
            // Back to where the row began.
            fs::write(&again.ca, &before.0).unwrap();
            fs::write(&again.keystore, &before.1).unwrap();
        }
    }

    #[test]
    fn half_made_certificates_are_made_anew_and_the_key_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let today = date(2026, 1, 31);
        let made = Certificates::open(dir.path(), today).unwrap();
        let ca = fs::read_to_string(&made.ca).unwrap();
        fs::set_permissions(&made.keystore, Permissions::from_mode(0o644)).unwrap();
        fs::remove_file(&made.ca).unwrap();
        Certificates::open(dir.path(), today).unwrap();
        assert_ne!(fs::read_to_string(&made.ca).unwrap(), ca);
        assert_eq!(fs::metadata(&made.keystore).unwrap().permissions().mode() & 0o777, 0o600);
        let keystore = fs::read_to_string(&made.keystore).unwrap();
        assert_eq!(keystore.matches("BEGIN CERTIFICATE").count(), 2);
        assert_eq!(keystore.matches("BEGIN PRIVATE KEY").count(), 1);
    }
}
