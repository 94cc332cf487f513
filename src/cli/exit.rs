//! How kgen ends: one table for every command.

/// Shown below the help.
pub const BELOW_HELP: &str = "\
Examples:
  kgen doctor                    # check this machine
  kgen demo                      # the whole scenario in its own lab
  kgen diagnose                  # find the cause of a problem, and the fix

A setting comes from the command line, then the environment (KGEN_...), then kgen.toml, then the default: `kgen config` \
shows every setting and its origin.

--redact replaces the following on the screen and in files, the same value always by the same stand-in: \
AWS account ids, ARNs (percent-encoded ones too), access key ids, secret access keys, values of settings called secret, \
password, token or private key, IP addresses, host names (this machine's, those of brokers, any with a port or under a \
usual top-level domain), names of clusters, e-mail addresses, user names in /home/NAME and /Users/NAME. \
Not replaced: names of topics, consumer groups and resources unless they hold one of these, regions, ids such as \
vpc-0a1b, numbers, and a cluster's name that is a word of kgen's own, such as demo. Files that commands read again stay \
as they are: kgen.toml, Terraform's files, plan, state and log, ledgers, the lab's folder.

Exit codes:
  0    done; for a check: healthy, proven, nothing to change
  1    failed; `render --check`: files differ; `doctor`: something is missing
  2    refused before anything was touched: arguments, kgen.toml, environment;
       `plan --detailed-exitcode`: there are changes
  3    a cause was found (diagnose, clusters) or is still there (fix, resize,
       scale-out, demo); another shape is better (size)
  4    inconclusive: not enough was seen, or the run is void
  5    records were lost, duplicated or damaged (produce, demo,
       consume --verify)
  6    an objective of --slo was missed (produce, consume), or a run is worse
       than the one before (compare)
  130  interrupted";
