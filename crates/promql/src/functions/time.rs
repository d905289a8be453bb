//! Functions of dates, in UTC.

use crate::{
    eval::value::{ElementKernel, Point},
    syntax::Func,
};

pub(super) fn kernel(func: Func) -> Option<ElementKernel> {
    Some(match func {
        Func::Minute => |p, _, _| of_seconds(p, |s| s.div_euclid(60).rem_euclid(60)),
        Func::Hour => |p, _, _| of_seconds(p, |s| s.div_euclid(3600).rem_euclid(24)),
        // The first of January 1970 was a Thursday.
        Func::DayOfWeek => |p, _, _| of_seconds(p, |s| (days(s) + 4).rem_euclid(7)),
        Func::DayOfMonth => |p, _, _| of_seconds(p, |s| Date::of(s).day),
        Func::DayOfYear => |p, _, _| {
            of_seconds(p, |s| {
                let date = Date::of(s);
                days(s) - Date { day: 1, month: 1, ..date }.days() + 1
            })
        },
        Func::DaysInMonth => |p, _, _| of_seconds(p, |s| Date::of(s).days_in_month()),
        Func::Month => |p, _, _| of_seconds(p, |s| Date::of(s).month),
        Func::Year => |p, _, _| of_seconds(p, |s| Date::of(s).year),
        _ => return None,
    })
}

/// Applies `f` to Unix seconds; fractions are cut towards zero. Histograms are left out of the result.
fn of_seconds(point: Point, f: impl Fn(i64) -> i64) -> Point {
    match point {
        Point::Float(v) => Point::Float(f(v as i64) as f64),
        Point::Histogram(_) | Point::Absent => Point::Absent,
    }
}

fn days(seconds: i64) -> i64 {
    seconds.div_euclid(86_400)
}

/// A day of the Gregorian calendar.
struct Date {
    year: i64,
    month: i64,
    day: i64,
}

impl Date {
    /// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms": `civil_from_days`. Eras are 400 years from the
    /// first of March 0000.
    fn of(seconds: i64) -> Self {
        let z = days(seconds) + 719_468;
        let (era, day_of_era) = (z.div_euclid(146_097), z.rem_euclid(146_097));
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        Date {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month,
            day: day_of_year - (153 * from_march + 2) / 5 + 1,
        }
    }

    /// Days since 1970-01-01: `days_from_civil` of the same paper.
    fn days(&self) -> i64 {
        let year = self.year - i64::from(self.month <= 2);
        let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let from_march = (self.month + 9) % 12;
        let day_of_year = (153 * from_march + 2) / 5 + self.day - 1;
        era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
    }

    fn days_in_month(&self) -> i64 {
        let leap = self.year.rem_euclid(4) == 0
            && (self.year.rem_euclid(100) != 0 || self.year.rem_euclid(400) == 0);
        match self.month {
            2 if leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dates_follow_the_calendar() {
        for (seconds, year, month, day, in_month) in [
            (0, 1970, 1, 1, 31),
            (951_782_400, 2000, 2, 29, 29),
            (-1, 1969, 12, 31, 31),
            (1_700_000_000, 2023, 11, 14, 30),
            (4_107_542_400, 2100, 3, 1, 31),
        ] {
            let d = Date::of(seconds);
            assert_eq!((d.year, d.month, d.day, d.days_in_month()), (year, month, day, in_month));
        }
    }

    proptest! {
        #[test]
        fn a_date_is_its_day(seconds in -1_000_000_000_000i64..1_000_000_000_000) {
            prop_assert_eq!(Date::of(seconds).days(), days(seconds));
        }

        #[test]
        fn any_time_has_a_date(seconds: i64) {
            let d = Date::of(seconds);
            prop_assert!((1..=12).contains(&d.month) && (1..=d.days_in_month()).contains(&d.day));
        }
    }
}
