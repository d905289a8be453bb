//! Addresses in lines and labels: `ip("10.0.0.0/8")`.

use std::net::IpAddr;

/// One address, a range of them, or a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IpPattern {
    first: IpAddr,
    last: IpAddr,
}

impl IpPattern {
    /// Reads `1.2.3.4`, `1.2.3.4-1.2.3.9` or `1.2.3.0/24`, of either version.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let invalid = || format!("ip: invalid pattern: {text:?}");
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Ok(IpPattern { first: ip, last: ip });
        }
        if let Some((first, last)) = text.split_once('-') {
            let (first, last) = (first.trim().parse::<IpAddr>(), last.trim().parse::<IpAddr>());
            return match (first, last) {
                (Ok(first), Ok(last)) if first.is_ipv4() == last.is_ipv4() && first <= last => {
                    Ok(IpPattern { first, last })
                }
                _ => Err(invalid()),
            };
        }
        let (address, bits) = text.split_once('/').ok_or_else(invalid)?;
        let bits: u32 = bits.parse().map_err(|_| invalid())?;
        network(address.parse().map_err(|_| invalid())?, bits).ok_or_else(invalid)
    }

    /// Whether the address belongs to it.
    pub(super) fn contains(&self, ip: IpAddr) -> bool {
        ip.is_ipv4() == self.first.is_ipv4() && self.first <= ip && ip <= self.last
    }

    /// Whether any address in the text belongs to it.
    pub(super) fn matches(&self, text: &str) -> bool {
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            if !may_begin(bytes, at) {
                at += 1;
                continue;
            }
            let len = bytes[at..].iter().take_while(|b| is_part(**b)).count();
            if addresses_in(&text[at..at + len]).any(|ip| self.contains(ip)) {
                return true;
            }
            at += len.max(1);
        }
        false
    }
}

fn network(ip: IpAddr, bits: u32) -> Option<IpPattern> {
    Some(match ip {
        IpAddr::V4(ip) if bits <= 32 => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            let first = u32::from(ip) & mask;
            IpPattern { first: IpAddr::V4(first.into()), last: IpAddr::V4((first | !mask).into()) }
        }
        IpAddr::V6(ip) if bits <= 128 => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            let first = u128::from(ip) & mask;
            IpPattern { first: IpAddr::V6(first.into()), last: IpAddr::V6((first | !mask).into()) }
        }
        _ => return None,
    })
}

/// Characters an address is made of.
fn is_part(b: u8) -> bool {
    b.is_ascii_hexdigit() || matches!(b, b'.' | b':')
}

/// An address begins with a hexadecimal digit or `::`, and not in the middle of a word.
fn may_begin(bytes: &[u8], at: usize) -> bool {
    let inside_word = at > 0 && (is_part(bytes[at - 1]) || bytes[at - 1].is_ascii_alphanumeric());
    is_part(bytes[at]) && !inside_word
}

/// The address that a run of such characters is or begins with: a port, a full stop or a colon may follow it.
fn addresses_in(run: &str) -> impl Iterator<Item = IpAddr> + '_ {
    let whole = run.trim_end_matches([':', '.']);
    let without_port = run.split_once(':').map(|(address, _)| address);
    [Some(run), Some(whole), without_port].into_iter().flatten().filter_map(|t| t.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_inside_lines() {
        let net = IpPattern::parse("192.168.0.0/16").unwrap();
        for (line, found) in [
            ("src 192.168.1.10 ok", true),
            ("src=192.168.1.10:8080", true),
            ("ends with 192.168.1.10.", true),
            ("src 10.0.0.9", false),
            ("v1192.168.1.10", false),
            ("no ip here", false),
            ("", false),
        ] {
            assert_eq!(net.matches(line), found, "{line}");
        }
        assert!(IpPattern::parse("2001:db8::/32").unwrap().matches("from [2001:db8::1]:80"));
        assert!(IpPattern::parse("1.1.1.1-1.1.1.9").unwrap().matches("x 1.1.1.5 y"));
        assert!(IpPattern::parse("0.0.0.0/0").unwrap().matches("x 1.1.1.5 y"));
        for bad in ["notanip", "", "1.2.3.4/33", "2.2.2.2-1.1.1.1", "1.2.3"] {
            assert!(IpPattern::parse(bad).unwrap_err().starts_with("ip: invalid pattern"), "{bad}");
        }
    }
}
