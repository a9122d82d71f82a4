/* Names: an adjective and somebody whom the reader may want to look up. */
#include "engine/names.h"

#include <ctype.h>
#include <sys/random.h>

#include "base/str.h"

static const char *const adjectives[] = {
    "able",   "airy",   "amber",  "ample",   "apt",     "awake",  "blithe", "bold",   "brave",
    "bright", "brisk",  "calm",   "candid",  "clear",   "clever", "cosy",   "crisp",  "curious",
    "daring", "deft",   "eager",  "early",   "earnest", "easy",   "fair",   "fleet",  "fond",
    "frank",  "fresh",  "gentle", "glad",    "golden",  "grand",  "hardy",  "honest", "humble",
    "keen",   "kind",   "light",  "lively",  "lucid",   "lucky",  "merry",  "mild",   "modest",
    "neat",   "nimble", "noble",  "patient", "placid",  "plain",  "polite", "proud",  "prudent",
    "quick",  "quiet",  "rapid",  "ready",   "robust",  "serene", "sharp",  "silent", "sincere",
    "smooth", "sober",  "solid",  "spry",    "stable",  "steady", "sturdy", "sunny",  "swift",
    "tender", "terse",  "tidy",   "upright", "vivid",   "warm",   "wise",   "witty",
};

static const char *const people[] = {
    "abel",       "agnesi",    "ampere",     "anning",     "arago",      "backus",   "bardeen",
    "barton",     "bernoulli", "blackburn",  "boltzmann",  "braun",      "brahe",    "cantor",
    "carver",     "cauchy",    "chandra",    "clairaut",   "conway",     "coriolis", "coulomb",
    "cray",       "daguerre",  "descartes",  "dirichlet",  "doppler",    "eckert",   "euclid",
    "faraday",    "fibonacci", "fizeau",     "foucault",   "fourier",    "fresnel",  "galois",
    "germain",    "goethals",  "gram",       "gutenberg",  "halley",     "harrison", "hausdorff",
    "heaviside",  "henry",     "herschel",   "hollerith",  "hooke",      "huygens",  "ibnsina",
    "jacobi",     "kelvin",    "kovacs",     "kummer",     "lagrange",   "laplace",  "legendre",
    "leibniz",    "linnaeus",  "lovasz",     "mach",       "markov",     "maury",    "mercator",
    "minkowski",  "mitchell",  "nansen",     "neumann",    "nightshade", "nobel",    "oersted",
    "ohm",        "oresme",    "pacioli",    "pappus",     "pascal",     "peano",    "perlman",
    "planck",     "poisson",   "ptolemy",    "rayleigh",   "riemann",    "roemer",   "rubin",
    "sagan",      "seki",      "siemens",    "sklodowska", "steno",      "stokes",   "tarski",
    "torricelli", "tsu",       "tycho",      "vesalius",   "viete",      "wallis",   "watt",
    "weber",      "wegener",   "wheatstone", "wilkes",     "wren",       "zuse",
};

int id_generate(char out[static 65], struct err *e)
{
    unsigned char r[32];

    do {
        if (getrandom(r, sizeof(r), 0) != (ssize_t)sizeof(r))
            return err_sys(e, "getrandom");
        str_hex(r, sizeof(r), out);
    } while (strspn(out, "0123456789") >= 12);
    return 0;
}

int name_check(const char *name, struct err *e)
{
    const char *s = name[0] == '/' ? name + 1 : name;
    bool ok = isascii((unsigned char)s[0]) && isalnum((unsigned char)s[0]) && s[1] != '\0';

    for (const char *p = s; ok && *p != '\0'; p++)
        ok =
            isascii((unsigned char)*p) && (isalnum((unsigned char)*p) || strchr("_.-", *p) != NULL);
    if (ok && strlen(s) <= 255)
        return 0;
    return err_set(e, ERR_INVALID,
                   "Invalid container name (%.300s), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
                   name);
}

void name_generate(int tries, char out[static 64])
{
    unsigned r[3] = {0};

    if (getrandom(r, sizeof(r), 0) < 0)
        r[0] = r[1] = 0; /* any name will do */
    snprintf(out, 64, "%s_%s", adjectives[r[0] % ARRAY_LEN(adjectives)],
             people[r[1] % ARRAY_LEN(people)]);
    if (tries > 0) {
        size_t n = strlen(out);

        snprintf(out + n, 64 - n, "%u", r[2] % 10);
    }
}
