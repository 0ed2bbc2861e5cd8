// Owning pointers of the OpenSSL objects that keys and key exchanges are made of.
#pragma once
#include <openssl/bn.h>
#include <openssl/param_build.h>

#include "transport/openssl_ptr.h"

namespace weir::ssh {

using transport::FreeWith;
using transport::PkeyPtr;
using BignumPtr = std::unique_ptr<BIGNUM, FreeWith<BN_clear_free>>;  // Any of them may be a secret.
using ParamBuildPtr = std::unique_ptr<OSSL_PARAM_BLD, FreeWith<OSSL_PARAM_BLD_free>>;
using ParamPtr = std::unique_ptr<OSSL_PARAM, FreeWith<OSSL_PARAM_free>>;
using PkeyContextPtr = std::unique_ptr<EVP_PKEY_CTX, FreeWith<EVP_PKEY_CTX_free>>;
using MdContextPtr = std::unique_ptr<EVP_MD_CTX, FreeWith<EVP_MD_CTX_free>>;

}  // namespace weir::ssh
