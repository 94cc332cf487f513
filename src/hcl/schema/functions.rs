//! Terraform's functions, by what they return (Terraform 1.5, "Built-in Functions").

use super::kind::Kind;

const TEXT: &[&str] = &[
    "abspath",
    "base64decode",
    "base64encode",
    "base64gzip",
    "base64sha256",
    "base64sha512",
    "basename",
    "bcrypt",
    "chomp",
    "cidrhost",
    "cidrnetmask",
    "cidrsubnet",
    "dirname",
    "file",
    "filebase64",
    "filebase64sha256",
    "filebase64sha512",
    "filemd5",
    "filesha1",
    "filesha256",
    "filesha512",
    "format",
    "formatdate",
    "indent",
    "join",
    "jsonencode",
    "lower",
    "md5",
    "pathexpand",
    "replace",
    "rsadecrypt",
    "sha1",
    "sha256",
    "sha512",
    "strrev",
    "substr",
    "templatefile",
    "textdecodebase64",
    "textencodebase64",
    "timeadd",
    "timestamp",
    "plantimestamp",
    "title",
    "tostring",
    "trim",
    "trimprefix",
    "trimspace",
    "trimsuffix",
    "type",
    "upper",
    "urlencode",
    "uuid",
    "uuidv5",
    "yamlencode",
];
const NUMBER: &[&str] = &[
    "abs", "ceil", "floor", "index", "length", "log", "max", "min", "parseint", "pow", "signum", "sum", "timecmp",
    "tonumber",
];
const BOOL: &[&str] = &[
    "alltrue",
    "anytrue",
    "can",
    "contains",
    "endswith",
    "fileexists",
    "issensitive",
    "startswith",
    "strcontains",
    "tobool",
];
/// The type of the result follows that of the arguments, in a way that is not worth following here.
const DEPENDS: &[&str] = &[
    "coalesce",
    "coalescelist",
    "csvdecode",
    "defaults",
    "jsondecode",
    "lookup",
    "merge",
    "nonsensitive",
    "one",
    "regex",
    "sensitive",
    "transpose",
    "try",
    "yamldecode",
    "zipmap",
    "element",
];
/// Lists of text.
const TEXTS: &[&str] = &["cidrsubnets", "fileset", "formatlist", "keys", "split"];
/// Lists of the elements of their first argument.
const LISTS: &[&str] = &["compact", "distinct", "reverse", "slice", "sort", "tolist", "values"];
/// Lists of whatever.
const OTHER_LISTS: &[&str] = &["chunklist", "concat", "flatten", "matchkeys", "range", "regexall", "setproduct"];
const SETS: &[&str] = &["setintersection", "setsubtract", "setunion", "toset"];

/// What `name` returns when it is given these, or nothing if Terraform has no such function.
pub(super) fn returned<'s>(name: &str, arguments: &[Kind<'s>]) -> Option<Kind<'s>> {
    let element = || Box::new(arguments.first().map_or(Kind::Unknown, Kind::element));
    let is = |names: &[&str]| names.contains(&name);
    Some(match () {
        () if is(TEXT) => Kind::Text(None),
        () if is(NUMBER) => Kind::Number,
        () if is(BOOL) => Kind::Bool,
        () if is(TEXTS) => Kind::List(Box::new(Kind::Text(None))),
        () if is(LISTS) => Kind::List(element()),
        () if is(OTHER_LISTS) => Kind::List(Box::new(Kind::Unknown)),
        () if is(SETS) => Kind::Set(element()),
        () if name == "tomap" => Kind::Map(element()),
        () if is(DEPENDS) => Kind::Unknown,
        () => return None,
    })
}
