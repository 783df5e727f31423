// How OpenSSL asks an engine for keys. Inside tlspsk only.
#pragma once

struct ssl_ctx_st;

namespace keystub::tlspsk {

void install_callbacks(ssl_ctx_st* context);

}  // namespace keystub::tlspsk
