// bench-krb5-load: one client of an MIT KDC. Gets a ticket-granting ticket from the keytab, then
// asks for tickets for SERVICE, one TGS exchange after the other, for SECONDS.
//
//   bench-krb5-load KEYTAB PRINCIPAL SERVICE SECONDS      (KRB5_CONFIG names the realm)
//
// Prints "ready", and at the end how many tickets it got per second.
#include <krb5.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>

namespace {

void require(krb5_context context, krb5_error_code code, const char* what) {
  if (code == 0) return;
  std::fprintf(stderr, "bench-krb5-load: %s: %s\n", what, krb5_get_error_message(context, code));
  std::exit(1);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  krb5_context context = nullptr;
  require(nullptr, krb5_init_context(&context), "krb5_init_context");
  krb5_keytab keytab = nullptr;
  krb5_principal client = nullptr;
  krb5_principal service = nullptr;
  krb5_creds tgt{};
  krb5_ccache cache = nullptr;
  require(context, krb5_kt_resolve(context, argv[1], &keytab), "keytab");
  require(context, krb5_parse_name(context, argv[2], &client), "principal");
  require(context, krb5_parse_name(context, argv[3], &service), "service");
  require(context, krb5_get_init_creds_keytab(context, &tgt, client, keytab, 0, nullptr, nullptr),
          "TGT");
  require(context, krb5_cc_new_unique(context, "MEMORY", nullptr, &cache), "cache");
  require(context, krb5_cc_initialize(context, cache, client), "cache");
  require(context, krb5_cc_store_cred(context, cache, &tgt), "cache");
  std::puts("ready");
  std::fflush(stdout);

  const auto begin = std::chrono::steady_clock::now();
  const std::chrono::duration<double> length(std::atof(argv[4]));
  std::chrono::duration<double> spent{};
  double tickets = 0;
  while (spent < length) {
    krb5_creds wanted{};
    wanted.client = client;
    wanted.server = service;
    krb5_creds* ticket = nullptr;
    // Not kept: the next one is asked for again.
    require(context, krb5_get_credentials(context, KRB5_GC_NO_STORE, cache, &wanted, &ticket),
            "TGS");
    krb5_free_creds(context, ticket);
    ++tickets;
    spent = std::chrono::steady_clock::now() - begin;
  }
  std::printf("%.1f\n", tickets / spent.count());
}
