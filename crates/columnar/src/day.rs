//! Days of UTC: every part belongs to one.

/// Nanoseconds of a day.
pub(crate) const DAY_NS: i64 = 86_400_000_000_000;

/// A day, counted from 1 January 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Day(pub(crate) i32);

impl Day {
    /// The day of a moment.
    pub(crate) fn of(ns: i64) -> Self {
        Day(ns.div_euclid(DAY_NS) as i32)
    }

    /// Its folder: `yyyymmdd`. (Civil from days: Howard Hinnant, "chrono-compatible low-level date algorithms".)
    pub(crate) fn folder(self) -> String {
        let z = i64::from(self.0) + 719_468;
        let era = z.div_euclid(146_097);
        let day_of_era = z.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        format!("{year:04}{month:02}{day:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_named_as_calendars_name_it() {
        let name = |days: i64| Day::of(days * DAY_NS).folder();
        assert_eq!(
            [name(0), name(-1), name(59), name(20_780)],
            ["19700101", "19691231", "19700301", "20261123"]
        );
        assert_eq!(Day::of(951_782_400_000_000_000).folder(), "20000229");
        assert_eq!([Day::of(-1), Day::of(0)], [Day(-1), Day(0)]);
        assert_eq!(
            (Day::of(i64::MIN).folder(), Day::of(i64::MAX).folder()),
            ("16770921".into(), "22620411".into())
        );
    }
}
