#include "mail/date.h"

static const char day_names[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
static const char month_names[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
					 "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };

enum { DAY_MS = 86400000, MINUTE_MS = 60000, EPOCH_WEEKDAY = 4 };

struct civil {
	int64_t year;
	unsigned month, day; // from 1
};

// The Gregorian calendar counted in eras of 400 years that begin on 1 March.
static int64_t days_of_civil(struct civil date)
{
	int64_t year = date.year - (date.month <= 2);
	int64_t era = (year >= 0 ? year : year - 399) / 400;
	int64_t year_of_era = year - era * 400;
	int64_t day_of_year =
		(153 * (date.month + (date.month > 2 ? -3 : 9)) + 2) / 5 + date.day - 1;
	int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

	return era * 146097 + day_of_era - 719468;
}

static struct civil civil_of_days(int64_t days)
{
	int64_t shifted = days + 719468;
	int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
	int64_t day_of_era = shifted - era * 146097;
	int64_t year_of_era =
		(day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	int64_t day_of_year =
		day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int64_t month = (5 * day_of_year + 2) / 153;

	return (struct civil){
		.year = year_of_era + era * 400 + (month >= 10),
		.month = (unsigned)(month < 10 ? month + 3 : month - 9),
		.day = (unsigned)(day_of_year - (153 * month + 2) / 5 + 1),
	};
}

void date_add(struct buffer *out, int64_t unix_ms, int zone_minutes)
{
	int64_t first = days_of_civil((struct civil){ 1900, 1, 2 }) * DAY_MS;
	int64_t last = days_of_civil((struct civil){ 9999, 12, 31 }) * DAY_MS - 1;
	int64_t clamped = unix_ms < first ? first : unix_ms > last ? last : unix_ms;
	int64_t local = clamped + (int64_t)zone_minutes * MINUTE_MS;
	int64_t days = local / DAY_MS - (local % DAY_MS < 0);
	unsigned seconds = (unsigned)((local - days * DAY_MS) / 1000);
	unsigned zone = (unsigned)(zone_minutes < 0 ? -zone_minutes : zone_minutes);
	unsigned weekday = (unsigned)(((days + EPOCH_WEEKDAY) % 7 + 7) % 7);
	struct civil date = civil_of_days(days);

	buffer_printf(out, "%s, %u %s %04d %02u:%02u:%02u %c%02u%02u", day_names[weekday], date.day,
		      month_names[date.month - 1], (int)date.year, seconds / 3600,
		      seconds / 60 % 60, seconds % 60, zone_minutes < 0 ? '-' : '+', zone / 60,
		      zone % 60);
}

// Blanks, folds and comments between two tokens.
static void skip_blanks(struct view *rest)
{
	size_t at = 0, depth = 0;

	for (; at < rest->len; at++) {
		char c = rest->data[at];

		if (c == '(') {
			depth++;
		} else if (depth && c == ')') {
			depth--;
		} else if (depth && c == '\\') {
			at++;
		} else if (!depth && c != ' ' && c != '\t' && c != '\r' && c != '\n') {
			break;
		}
	}
	*rest = view_from(*rest, at);
}

static bool take_byte(struct view *rest, char byte)
{
	skip_blanks(rest);
	if (rest->len == 0 || rest->data[0] != byte) {
		return false;
	}
	*rest = view_from(*rest, 1);
	return true;
}

static bool take_number(struct view *rest, unsigned max, unsigned *ret_number, size_t *ret_digits)
{
	size_t len = 0;
	uint64_t number;

	skip_blanks(rest);
	while (len < rest->len && ascii_is_digit(rest->data[len])) {
		len++;
	}
	if (!view_to_u64(view_first(*rest, len), max, &number)) {
		return false;
	}
	*ret_number = (unsigned)number;
	*ret_digits = len;
	*rest = view_from(*rest, len);
	return true;
}

static struct view take_letters(struct view *rest)
{
	size_t len = 0;
	struct view letters;

	skip_blanks(rest);
	while (len < rest->len && ascii_is_alpha(rest->data[len])) {
		len++;
	}
	letters = view_first(*rest, len);
	*rest = view_from(*rest, len);
	return letters;
}

static bool take_day_and_month(struct view *rest, struct civil *date)
{
	size_t digits;
	struct view name = take_letters(rest);

	if (name.len) {
		take_byte(rest, ',');
	}
	if (!take_number(rest, 31, &date->day, &digits)) {
		return false;
	}
	name = take_letters(rest);
	for (unsigned i = 0; i < 12; i++) {
		if (view_equal_nocase(view_first(name, 3), view_from_text(month_names[i]))) {
			date->month = i + 1;
		}
	}
	return date->month != 0;
}

static bool take_year(struct view *rest, struct civil *date)
{
	unsigned year;
	size_t digits;

	if (!take_number(rest, 9999, &year, &digits)) {
		return false;
	}
	if (digits <= 2) {
		year += year < 50 ? 2000 : 1900;
	} else if (digits == 3) {
		year += 1900;
	}
	date->year = year;
	return true;
}

static bool is_day_of_month(struct civil date)
{
	struct civil same = civil_of_days(days_of_civil(date));

	return same.day == date.day && same.month == date.month;
}

static bool take_time(struct view *rest, int64_t *ret_seconds)
{
	unsigned hour, minute, second = 0;
	size_t digits;

	if (!take_number(rest, 23, &hour, &digits) || !take_byte(rest, ':') ||
	    !take_number(rest, 59, &minute, &digits) ||
	    (take_byte(rest, ':') && !take_number(rest, 60, &second, &digits))) {
		return false;
	}
	*ret_seconds = hour * 3600 + minute * 60 + second;
	return true;
}

static int named_zone(struct view name)
{
	static const struct {
		const char *name;
		int hours;
	} zones[] = { { "EDT", -4 }, { "EST", -5 }, { "CDT", -5 }, { "CST", -6 },
		      { "MDT", -6 }, { "MST", -7 }, { "PDT", -7 }, { "PST", -8 } };

	for (size_t i = 0; i < sizeof zones / sizeof *zones; i++) {
		if (view_equal_nocase(name, view_from_text(zones[i].name))) {
			return zones[i].hours * 60;
		}
	}
	return 0;
}

static bool take_zone(struct view *rest, int *ret_minutes)
{
	unsigned number;
	size_t digits;
	bool west = take_byte(rest, '-');

	if (!west && !take_byte(rest, '+')) {
		*ret_minutes = named_zone(take_letters(rest));
		return true;
	}
	if (!take_number(rest, 9959, &number, &digits) || digits != 4 || number % 100 > 59) {
		return false;
	}
	*ret_minutes = (int)(number / 100 * 60 + number % 100) * (west ? -1 : 1);
	return true;
}

bool date_parse(struct view value, int64_t *ret_unix_ms, int *ret_zone_minutes)
{
	struct civil date = { 0 };
	int64_t seconds;
	int zone;

	if (!take_day_and_month(&value, &date) || !take_year(&value, &date) ||
	    !is_day_of_month(date) || !take_time(&value, &seconds) || !take_zone(&value, &zone)) {
		return false;
	}
	skip_blanks(&value);
	if (value.len) {
		return false;
	}
	*ret_unix_ms = days_of_civil(date) * DAY_MS + seconds * 1000 - (int64_t)zone * MINUTE_MS;
	*ret_zone_minutes = zone;
	return true;
}
