/* One end of PUSH/PULL by libzmq itself, for `python -m bench zmq`: what its sockets can do without
 * any Python. It sends, receives and checks what bench/zmq_load.py does, and prints the same.
 *
 *   zmq_ends send|receive ENDPOINT COUNT SIZE WARM_UP DIFFERENT
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <zmq.h>

static size_t size, different;
static unsigned char *bodies;

static void fail(const char *text)
{
    printf("{\"fault\": \"%s\"}\n", text);
    exit(1);
}

static void need(int condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "%s: %s\n", what, zmq_strerror(zmq_errno()));
        fail(what);
    }
}

/* As bodies_of() makes them: a number, then the same for all. */
static void make_bodies(void)
{
    need((bodies = malloc(different * size)) != NULL, "malloc");
    for (size_t number = 0; number < different; number++) {
        unsigned char *body = bodies + number * size;
        for (size_t at = 0; at < size; at++)
            body[at] = at < size / 256 * 256 ? (unsigned char)at : 'm';
        for (int at = 0; at < 4; at++)
            body[at] = (unsigned char)(number >> (24 - 8 * at));
    }
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + now.tv_nsec / 1e9;
}

static double cpu_seconds(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return used.ru_utime.tv_sec + used.ru_stime.tv_sec +
           (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static void send_all(void *socket, long total)
{
    for (long number = 0; number < total; number++)
        need(zmq_send(socket, bodies + (size_t)number % different * size, size, 0) >= 0, "send");
    need(zmq_send(socket, "end", 3, 0) >= 0, "send");
}

static void receive(void *socket, zmq_msg_t *message, const void *wanted, size_t length)
{
    need(zmq_msg_recv(message, socket, 0) >= 0, "recv");
    if (zmq_msg_size(message) != length || memcmp(zmq_msg_data(message), wanted, length))
        fail("a message is not what was sent then, or one is missing or too many");
}

static void receive_all(void *socket, long warm_up, long count)
{
    zmq_msg_t message;
    double begun = 0, cpu = 0;
    zmq_msg_init(&message);
    for (long number = 0; number < warm_up + count; number++) {
        if (number == warm_up) {
            cpu = cpu_seconds();
            begun = seconds();
        }
        receive(socket, &message, bodies + (size_t)number % different * size, size);
    }
    double took = seconds() - begun;
    cpu = cpu_seconds() - cpu;
    receive(socket, &message, "end", 3);
    printf("{\"rate\": %f, \"cpu_us\": %f}\n", count / took, cpu / count * 1e6);
    zmq_msg_close(&message);
}

int main(int argc, char **argv)
{
    if (argc != 7)
        fail("zmq_ends send|receive ENDPOINT COUNT SIZE WARM_UP DIFFERENT");
    int sends = !strcmp(argv[1], "send"), linger = 10000;
    long count = atol(argv[3]), warm_up = atol(argv[5]);
    size = (size_t)atol(argv[4]);
    different = (size_t)atol(argv[6]);
    if (size < 4 || !different || count < 1)
        fail("a message has a number of four bytes");
    make_bodies();
    void *context = zmq_ctx_new();
    void *socket = zmq_socket(context, sends ? ZMQ_PUSH : ZMQ_PULL);
    need(socket != NULL, "socket");
    zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
    if (sends) {
        need(!zmq_connect(socket, argv[2]), "connect");
        send_all(socket, warm_up + count);
    } else {
        need(!zmq_bind(socket, argv[2]), "bind");
        printf("ready\n");
        fflush(stdout);
        receive_all(socket, warm_up, count);
    }
    zmq_close(socket);
    zmq_ctx_term(context);
    free(bodies);
    return 0;
}
