//! Functions on texts that several tables of functions have.

/// Makes the first letter of every word large and leaves the rest.
pub fn title(s: &str) -> String {
    let mut out = String::with_capacity(s.len());
    let mut in_word = false;
    for c in s.chars() {
        let of_word = c.is_alphanumeric() || c == '_' || (in_word && matches!(c, '\'' | '’'));
        if of_word && !in_word {
            out.extend(c.to_uppercase());
        } else {
            out.push(c);
        }
        in_word = of_word;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_begins_with_a_large_letter() {
        assert_eq!(title("the user's über-long_name 'quoted' 4x"), "The User's Über-Long_name 'Quoted' 4x");
    }
}
