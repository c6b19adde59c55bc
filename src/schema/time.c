/* time.c - RFC 3339 as Go's time.RFC3339 reads it: capital T and Z, no leap seconds. Days are counted with the calendar
 * shifted to begin in March, so that the leap day comes last. */
#include "schema/time.h"

#include <stdio.h>

#define DAYS_PER_ERA 146097 /* 400 years */
#define SEC_PER_DAY 86400

/* Days from 1970-01-01. */
static int64_t days_from_date(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400, year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

    return era * DAYS_PER_ERA + day_of_era - 719468;
}

static void date_from_days(int64_t days, int64_t *ret_year, int *ret_month, int *ret_day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - (DAYS_PER_ERA - 1)) / DAYS_PER_ERA, day = days - era * DAYS_PER_ERA;
    int64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    int64_t day_of_year = day - (365 * year + year / 4 - year / 100), month = (5 * day_of_year + 2) / 153;

    *ret_day = (int)(day_of_year - (153 * month + 2) / 5 + 1);
    *ret_month = (int)(month < 10 ? month + 3 : month - 9);
    *ret_year = year + era * 400 + (*ret_month <= 2);
}

static int days_in_month(int year, int month)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return month == 2 && leap ? 29 : days[month - 1];
}

/* Parsing: each function cuts what it reads off the front of *rest. */

static bool cut_number(struct str *rest, size_t digits, int low, int high, int *ret_value)
{
    int value = 0;

    if (rest->len < digits)
        return false;
    for (size_t i = 0; i < digits; i++) {
        if (rest->data[i] < '0' || rest->data[i] > '9')
            return false;
        value = value * 10 + (rest->data[i] - '0');
    }
    *rest = str_skip(*rest, digits);
    *ret_value = value;
    return value >= low && value <= high;
}

static bool cut_char(struct str *rest, char c)
{
    if (!rest->len || rest->data[0] != c)
        return false;
    *rest = str_skip(*rest, 1);
    return true;
}

static bool cut_date(struct str *rest, int64_t *ret_days)
{
    int year, month, day;

    if (!cut_number(rest, 4, 0, 9999, &year) || !cut_char(rest, '-') || !cut_number(rest, 2, 1, 12, &month) ||
        !cut_char(rest, '-') || !cut_number(rest, 2, 1, days_in_month(year, month), &day))
        return false;
    *ret_days = days_from_date(year, month, day);
    return true;
}

static bool cut_time(struct str *rest, int64_t *ret_seconds)
{
    int hour, minute, second;

    if (!cut_number(rest, 2, 0, 23, &hour) || !cut_char(rest, ':') || !cut_number(rest, 2, 0, 59, &minute) ||
        !cut_char(rest, ':') || !cut_number(rest, 2, 0, 59, &second))
        return false;
    *ret_seconds = hour * 3600 + minute * 60 + second;
    return true;
}

/* Nothing, or a point and digits. */
static bool cut_fraction(struct str *rest, int64_t *ret_nsec)
{
    int64_t nsec = 0, unit = NSEC_PER_SEC;
    int digit;

    *ret_nsec = 0;
    if (!cut_char(rest, '.') && !cut_char(rest, ','))
        return true;
    if (!rest->len || rest->data[0] < '0' || rest->data[0] > '9')
        return false;
    while (rest->len && cut_number(rest, 1, 0, 9, &digit))
        nsec += digit * (unit /= 10);
    *ret_nsec = nsec;
    return true;
}

/* Seconds east of Greenwich. */
static bool cut_zone(struct str *rest, int64_t *ret_offset)
{
    bool west = rest->len && rest->data[0] == '-';
    int hours, minutes;

    *ret_offset = 0;
    if (cut_char(rest, 'Z'))
        return true;
    if ((!cut_char(rest, '+') && !cut_char(rest, '-')) || !cut_number(rest, 2, 0, 23, &hours) || !cut_char(rest, ':') ||
        !cut_number(rest, 2, 0, 59, &minutes))
        return false;
    *ret_offset = (west ? -1 : 1) * (hours * 3600 + minutes * 60);
    return true;
}

bool api_time_parse(struct str text, nsec_t *ret_unix_nsec)
{
    int64_t days, seconds, nsec, offset, total;
    struct str rest = text;

    if (!cut_date(&rest, &days) || !cut_char(&rest, 'T') || !cut_time(&rest, &seconds) || !cut_fraction(&rest, &nsec) ||
        !cut_zone(&rest, &offset) || rest.len)
        return false;
    seconds += days * SEC_PER_DAY - offset;
    if (__builtin_mul_overflow(seconds, NSEC_PER_SEC, &total) || __builtin_add_overflow(total, nsec, &total))
        total = seconds < 0 ? INT64_MIN : INT64_MAX;
    *ret_unix_nsec = total;
    return true;
}

/* Text. */

static struct str time_text(nsec_t unix_nsec, bool micro, char out[API_TIME_LEN])
{
    int64_t seconds = unix_nsec / NSEC_PER_SEC, nsec = unix_nsec % NSEC_PER_SEC, days, year;
    int month, day, len, of_day;

    if (nsec < 0) {
        seconds--;
        nsec += NSEC_PER_SEC;
    }
    days = seconds / SEC_PER_DAY - (seconds % SEC_PER_DAY < 0);
    of_day = (int)(seconds - days * SEC_PER_DAY);
    date_from_days(days, &year, &month, &day);
    len = snprintf(out, API_TIME_LEN, "%04d-%02d-%02dT%02d:%02d:%02d", (int)year, month, day, of_day / 3600,
                   of_day / 60 % 60, of_day % 60);
    if (micro)
        len += snprintf(out + len, API_TIME_LEN - (size_t)len, ".%06dZ", (int)(nsec / 1000));
    else
        len += snprintf(out + len, API_TIME_LEN - (size_t)len, "Z");
    return str_of(out, (size_t)len);
}

struct str api_time_text(nsec_t unix_nsec, char out[API_TIME_LEN])
{
    return time_text(unix_nsec, false, out);
}

struct str api_micro_time_text(nsec_t unix_nsec, char out[API_TIME_LEN])
{
    return time_text(unix_nsec, true, out);
}

/* From when on an age is shown in which units: large * count + small when that is not zero. */
static const struct age_step {
    int64_t below; /* seconds */
    int64_t large, small;
    char large_name, small_name; /* small_name 0: only the large unit */
} age_steps[] = {
    { 2 * 60, 1, 1, 's', 0 },
    { 10 * 60, 60, 1, 'm', 's' },
    { 3 * 3600, 60, 1, 'm', 0 },
    { 8 * 3600, 3600, 60, 'h', 'm' },
    { 48 * 3600, 3600, 60, 'h', 0 },
    { 8 * SEC_PER_DAY, SEC_PER_DAY, 3600, 'd', 'h' },
    { 2 * 365 * SEC_PER_DAY, SEC_PER_DAY, 3600, 'd', 0 },
    { 8 * 365 * SEC_PER_DAY, 365 * SEC_PER_DAY, SEC_PER_DAY, 'y', 'd' },
    { INT64_MAX, 365 * SEC_PER_DAY, SEC_PER_DAY, 'y', 0 },
};

/* A second of clock difference between machines is not worth a word; more is not an age. */
struct str duration_text(nsec_t duration, char out[API_TIME_LEN])
{
    int64_t seconds = duration / NSEC_PER_SEC;
    const struct age_step *step = age_steps;
    int len;

    if (seconds < -1)
        return str_of(out, (size_t)snprintf(out, API_TIME_LEN, "<invalid>"));
    seconds = MAX(seconds, 0);
    while (seconds >= step->below)
        step++;
    int64_t large = seconds / step->large, small = seconds % step->large / step->small;

    if (step->small_name && small)
        len = snprintf(out, API_TIME_LEN, "%lld%c%lld%c", (long long)large, step->large_name, (long long)small,
                       step->small_name);
    else
        len = snprintf(out, API_TIME_LEN, "%lld%c", (long long)large, step->large_name);
    return str_of(out, (size_t)len);
}
