// What the error replies of Redis mean: to a publisher, and to a reader.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "cluster/base/error.h"
#include "cluster/publish.h"
#include "cluster/resp.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void to_a_publisher(void **state) {
    (void)state;
    static const struct {
        const char *text;
        enum publish_result result;
        enum publish_refusal refusal;
    } cases[] = {
        {"CONFLICT none", PUBLISH_CONFLICT, REFUSAL_NONE},
        {"OOM command not allowed when used memory > 'maxmemory'.", PUBLISH_UNAVAILABLE, 0},
        {"NOREPLICAS Not enough good replicas to write.", PUBLISH_UNAVAILABLE, 0},
        {"NOPERM freshet needs the right to XADD on its keys", PUBLISH_REFUSED, REFUSAL_RIGHTS},
        {"ERR json: Expected value but found T_END", PUBLISH_REFUSED, REFUSAL_JSON},
        {"ERR DATA is larger than 1048576 bytes", PUBLISH_REFUSED, REFUSAL_ARGUMENTS},
        {"ERR EVENT ok is reserved", PUBLISH_REFUSED, REFUSAL_ARGUMENTS},
        {"ERR a channel is 1-200 bytes of UTF-8", PUBLISH_REFUSED, REFUSAL_ARGUMENTS},
        {"ERR TTL must be 1-2592000", PUBLISH_REFUSED, REFUSAL_ARGUMENTS},
        {"ERR the second key must be the first one", PUBLISH_REFUSED, REFUSAL_REDIS},
        {"ERR unknown option ONCE", PUBLISH_REFUSED, REFUSAL_REDIS},
        {"ERR Function not found", PUBLISH_REFUSED, REFUSAL_REDIS},
        {"ERR unknown command 'FCALL'", PUBLISH_REFUSED, REFUSAL_REDIS},
        {"WRONGTYPE Operation against a key", PUBLISH_REFUSED, REFUSAL_REDIS},
        {"IOERR error or timeout", PUBLISH_REFUSED, REFUSAL_REDIS},
        {"WRONGPASS invalid username-password pair", PUBLISH_REFUSED, REFUSAL_REDIS},
        {"TOMORROW what nobody knows yet", PUBLISH_REFUSED, REFUSAL_REDIS},
        {"", PUBLISH_REFUSED, REFUSAL_REDIS},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        enum publish_refusal refusal;
        enum publish_result result = publish_result_of(slice_of(cases[i].text), &refusal);
        if (result != cases[i].result || refusal != cases[i].refusal) {
            fail_msg("%s: %d %d", cases[i].text, (int)result, (int)refusal);
        }
    }
}

static redisReply reply_of(const char *error) {
    return (redisReply){.type = REDIS_REPLY_ERROR, .str = (char *)error, .len = strlen(error)};
}

static void to_a_reader(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int error;
    } cases[] = {
        {"NOPERM this user has no permissions to run the 'xrange' command", E_RIGHTS},
        {"ERR The user executing the script can't run this command or subcommand", E_RIGHTS},
        {"WRONGTYPE Operation against a key holding the wrong kind of value", E_WRONG_TYPE},
        {"OOM command not allowed when used memory > 'maxmemory'.", E_FULL},
        {"BUSY Redis is busy running a script.", E_BUSY},
        {"BUSYGROUP Consumer Group name already exists", E_REDIS},
        {"ERR syntax error", E_REDIS},
        {"", E_REDIS},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        redisReply error = reply_of(cases[i].text);
        redisReply list = {.type = REDIS_REPLY_ARRAY};
        redisReply *elements[] = {&list, &error};
        redisReply transaction = {
            .type = REDIS_REPLY_ARRAY, .elements = COUNT(elements), .element = elements};
        assert_int_equal(resp_error_of(&error), cases[i].error);
        assert_int_equal(resp_error_of(&transaction), cases[i].error);
        assert_int_equal(resp_error_of(&list), E_REDIS);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(to_a_publisher),
        cmocka_unit_test(to_a_reader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
