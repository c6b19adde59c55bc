/* quantity.c - text to a count of nanos and back.
 *
 * The number may have any count of digits. With a decimal suffix the decimal point just moves, so the digits up to nano
 * are read and the rest only matters by not being zero: then the result goes up by one nano, away from zero. With a
 * binary suffix, a fraction F times S = 2^n * 10^9 is worked off from its last digit: x = ceil((digit * S + x) / 10),
 * which is exact, as rounding up early and again gives the same as rounding up once. All of it saturates.
 *
 * The canonical form has no fraction and the largest suffix of its family that allows that. Binary quantities between
 * -1024 and 1024, or with a fraction, are shown as decimal. */
#include "schema/quantity.h"

#include <stdio.h>

typedef __int128 i128;
typedef unsigned __int128 u128;

#define NANO 1000000000
#define NANO_DIGITS 9
#define EXPONENT_MAX 1000000 /* clamped there: far beyond what saturates or vanishes */

/* Greatest magnitudes: 10^29 for decimal quantities, what int64 holds for binary ones. */
#define DECIMAL_MAX ((u128)1000000000000000000 * 100000000000 * NANO)
#define BINARY_MAX ((u128)INT64_MAX * NANO)

static const struct suffix {
    struct str text;
    int format, exponent; /* of 10, or of 2 */
} suffixes[] = {
    { STR_INIT("n"), QUANTITY_DECIMAL_SI, -9 }, { STR_INIT("u"), QUANTITY_DECIMAL_SI, -6 },
    { STR_INIT("m"), QUANTITY_DECIMAL_SI, -3 }, { STR_INIT(""), QUANTITY_DECIMAL_SI, 0 },
    { STR_INIT("k"), QUANTITY_DECIMAL_SI, 3 },  { STR_INIT("M"), QUANTITY_DECIMAL_SI, 6 },
    { STR_INIT("G"), QUANTITY_DECIMAL_SI, 9 },  { STR_INIT("T"), QUANTITY_DECIMAL_SI, 12 },
    { STR_INIT("P"), QUANTITY_DECIMAL_SI, 15 }, { STR_INIT("E"), QUANTITY_DECIMAL_SI, 18 },
    { STR_INIT("Ki"), QUANTITY_BINARY_SI, 10 }, { STR_INIT("Mi"), QUANTITY_BINARY_SI, 20 },
    { STR_INIT("Gi"), QUANTITY_BINARY_SI, 30 }, { STR_INIT("Ti"), QUANTITY_BINARY_SI, 40 },
    { STR_INIT("Pi"), QUANTITY_BINARY_SI, 50 }, { STR_INIT("Ei"), QUANTITY_BINARY_SI, 60 },
};

static u128 add(u128 a, u128 b)
{
    u128 sum;

    return __builtin_add_overflow(a, b, &sum) ? ~(u128)0 : sum;
}

static u128 multiply(u128 a, u128 b)
{
    u128 product;

    return __builtin_mul_overflow(a, b, &product) ? ~(u128)0 : product;
}

static struct str cut_digits(struct str *rest)
{
    size_t n = 0;

    while (n < rest->len && rest->data[n] >= '0' && rest->data[n] <= '9')
        n++;
    struct str digits = str_first(*rest, n);

    *rest = str_skip(*rest, n);
    return digits;
}

/* "e3", "E-3", "e+03". */
static bool parse_exponent(struct str text, struct suffix *ret_suffix)
{
    int exponent = 0;

    if (text.len < 2 || (text.data[0] | 32) != 'e')
        return false;
    text = str_skip(text, 1);
    bool negative = text.data[0] == '-';

    if (negative || text.data[0] == '+')
        text = str_skip(text, 1);
    struct str digits = cut_digits(&text);

    if (digits.len == 0 || text.len)
        return false;
    for (size_t i = 0; i < digits.len && exponent < EXPONENT_MAX; i++)
        exponent = exponent * 10 + (digits.data[i] - '0');
    *ret_suffix = (struct suffix){ .format = QUANTITY_DECIMAL_EXPONENT, .exponent = negative ? -exponent : exponent };
    return true;
}

static bool parse_suffix(struct str text, struct suffix *ret_suffix)
{
    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++)
        if (str_eq(text, suffixes[i].text)) {
            *ret_suffix = suffixes[i];
            return true;
        }
    return parse_exponent(text, ret_suffix);
}

/* whole.fraction * 10^exponent in nanos, rounded up. */
static u128 decimal_nanos(struct str whole, struct str fraction, int exponent)
{
    int64_t wanted = (int64_t)whole.len + exponent + NANO_DIGITS, digits = (int64_t)(whole.len + fraction.len);
    u128 value = 0;
    bool rest = false;

    for (int64_t i = 0; i < digits; i++) {
        char digit = (size_t)i < whole.len ? whole.data[i] : fraction.data[(size_t)i - whole.len];

        if (i < wanted)
            value = add(multiply(value, 10), (u128)(digit - '0'));
        else
            rest |= digit != '0';
    }
    for (int64_t i = digits; i < wanted && value && value < DECIMAL_MAX; i++)
        value = multiply(value, 10);
    return MIN(add(value, rest), DECIMAL_MAX);
}

/* whole.fraction * 2^exponent in nanos, rounded up. */
static u128 binary_nanos(struct str whole, struct str fraction, int exponent)
{
    u128 unit = ((u128)1 << exponent) * NANO, value = 0, part = 0;

    for (size_t i = 0; i < whole.len; i++)
        value = add(multiply(value, 10), (u128)(whole.data[i] - '0'));
    for (size_t i = fraction.len; i-- > 0;)
        part = (unit * (u128)(fraction.data[i] - '0') + part + 9) / 10;
    return MIN(add(multiply(value, unit), part), BINARY_MAX);
}

bool quantity_parse(struct str text, struct quantity *ret_quantity)
{
    struct str rest = text, whole, fraction = STR("");
    bool negative = text.len && text.data[0] == '-';
    struct suffix suffix;
    u128 value;

    if (negative || (text.len && text.data[0] == '+'))
        rest = str_skip(rest, 1);
    whole = cut_digits(&rest);
    if (rest.len && rest.data[0] == '.') {
        rest = str_skip(rest, 1);
        fraction = cut_digits(&rest);
    }
    if (whole.len + fraction.len == 0 || text.len > INT32_MAX || !parse_suffix(rest, &suffix))
        return false;
    if (suffix.format == QUANTITY_BINARY_SI)
        value = binary_nanos(whole, fraction, suffix.exponent);
    else
        value = decimal_nanos(whole, fraction, suffix.exponent);
    ret_quantity->nano = negative ? -(i128)value : (i128)value;
    ret_quantity->format = suffix.format;
    if (suffix.format == QUANTITY_BINARY_SI && value > 0 && value < NANO)
        ret_quantity->format = QUANTITY_DECIMAL_SI;
    return true;
}

/* Text. */

static struct str print(struct arena *arena, bool negative, u128 number, const char *suffix)
{
    char digits[48];
    size_t at = sizeof digits;

    do {
        digits[--at] = (char)('0' + (int)(number % 10));
        number /= 10;
    } while (number);
    return arena_printf(arena, "%s%.*s%s", negative ? "-" : "", (int)(sizeof digits - at), digits + at, suffix);
}

static const char *suffix_text(int format, int exponent)
{
    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++)
        if (suffixes[i].format == format && suffixes[i].exponent == exponent)
            return suffixes[i].text.data;
    return "";
}

static struct str binary_text(struct arena *arena, bool negative, u128 units)
{
    int exponent = 0;

    for (; units % 1024 == 0 && exponent < 60; exponent += 10)
        units /= 1024;
    return print(arena, negative, units, suffix_text(QUANTITY_BINARY_SI, exponent));
}

static struct str decimal_text(struct arena *arena, bool negative, u128 nanos, int format)
{
    int exponent = -NANO_DIGITS;
    char suffix[16] = "";

    while (nanos % 1000 == 0 && (format == QUANTITY_DECIMAL_EXPONENT || exponent < 18)) {
        nanos /= 1000;
        exponent += 3;
    }
    if (format != QUANTITY_DECIMAL_EXPONENT)
        return print(arena, negative, nanos, suffix_text(QUANTITY_DECIMAL_SI, exponent));
    if (exponent)
        snprintf(suffix, sizeof suffix, "e%d", exponent);
    return print(arena, negative, nanos, suffix);
}

struct str quantity_text(struct arena *arena, struct quantity quantity)
{
    bool negative = quantity.nano < 0;
    u128 nanos = negative ? -(u128)quantity.nano : (u128)quantity.nano;
    bool binary = quantity.format == QUANTITY_BINARY_SI && nanos >= (u128)1024 * NANO && nanos % NANO == 0;

    if (nanos == 0)
        return arena_str(arena, STR("0"));
    if (binary)
        return binary_text(arena, negative, nanos / NANO);
    return decimal_text(arena, negative, nanos,
                        quantity.format == QUANTITY_BINARY_SI ? QUANTITY_DECIMAL_SI : (int)quantity.format);
}

int quantity_cmp(struct quantity a, struct quantity b)
{
    return (a.nano > b.nano) - (a.nano < b.nano);
}

/* Rounded away from zero. */
static int64_t scaled(struct str text, int64_t nanos_per_unit)
{
    struct quantity quantity;

    if (!text.data || !quantity_parse(text, &quantity))
        return 0;
    i128 units = quantity.nano / nanos_per_unit, rest = quantity.nano % nanos_per_unit;

    units += (rest > 0) - (rest < 0);
    return units > INT64_MAX ? INT64_MAX : units < INT64_MIN ? INT64_MIN : (int64_t)units;
}

int64_t quantity_value(struct str text)
{
    return scaled(text, NANO);
}

int64_t quantity_milli(struct str text)
{
    return scaled(text, NANO / 1000);
}
