#include "transport/tls_fault.h"

#include <openssl/err.h>
#include <openssl/sslerr.h>

#include "transport/certificate.h"

namespace weir::transport {
namespace {

// An alert that the peer sent, by number (RFC 8446 section 6).
std::string explain_alert(const TlsLeg& leg, int alert, const std::string& peer) {
  const std::string heard = peer + " ended TLS with the alert \"" + SSL_alert_desc_string_long(alert) + "\"";
  const bool is_server = leg.role == TlsRole::kServer;
  switch (alert) {
    case SSL3_AD_BAD_CERTIFICATE:
    case SSL3_AD_CERTIFICATE_UNKNOWN:
    case TLS1_AD_UNKNOWN_CA:
      if (!is_server) break;
      return heard + ": it verifies the server and does not trust the certificate it was shown; " +
             (leg.is_own_pair ? "it was shown the target's own pair, so look at its root certificates"
                              : "give it Weir's CA (`weir ca show`) or give the gateway the target's own pair "
                                "(tls.certificate_file, tls.key_file)");
    case SSL3_AD_CERTIFICATE_EXPIRED:
      if (!is_server) break;
      return heard + ": the certificate it was shown has expired, or its clock is wrong";
    case TLS1_AD_PROTOCOL_VERSION:
      return heard + ": it speaks no TLS version from " + leg.minimum + " up (tls.minimum)";
    case TLS1_AD_INSUFFICIENT_SECURITY:
    case SSL3_AD_HANDSHAKE_FAILURE:
      if (is_server) return heard + ": it accepts none of our cipher suites or groups";
      return heard +
             ": it accepts none of our cipher suites or groups, or wants a client certificate, which this gateway has not";
    case SSL_AD_CERTIFICATE_REQUIRED:
      return heard + ": it wants a client certificate, which this gateway has not";
    case TLS1_AD_UNRECOGNIZED_NAME:
      return heard + ": it knows no server of that name; set tls.server_name";
    default:
      break;
  }
  return heard;
}

std::string explain_client_certificate(const TlsLeg& leg, const X509* certificate, int code) {
  const std::string whose = "client's certificate" + (certificate != nullptr ? " (" + subject_of(certificate) + ")" : "");
  switch (code) {
    case X509_V_ERR_CERT_HAS_EXPIRED: return whose + " expired" + (certificate != nullptr ? " on " + utc_text(not_after_of(certificate)) : "") + "; the client needs a new one";
    case X509_V_ERR_CERT_NOT_YET_VALID: return whose + " is not valid yet; is a clock wrong?";
    case X509_V_ERR_CERT_REVOKED: return whose + " is revoked (tls.client_crl_file)";
    case X509_V_ERR_CRL_HAS_EXPIRED: return "the revocation list in tls.client_crl_file is too old to tell of the " + whose + "; put a new one there and reload";
    case X509_V_ERR_UNABLE_TO_GET_CRL: return "tls.client_crl_file has no revocation list of who signed the " + whose;
    case X509_V_ERR_INVALID_PURPOSE: return whose + " is not for clients (its extended key usage lacks clientAuth, or its key usage digitalSignature)";
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT: case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN: case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY: case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
      return whose + " was signed by " + (certificate != nullptr ? issuer_of(certificate) : "an authority") + ", which is not in " + leg.trust + " (tls.client_ca_file)";
    default: return whose + " does not verify: " + X509_verify_cert_error_string(code);
  }
}

}  // namespace

std::string explain_certificate(const TlsLeg& leg, const X509* certificate, int code, const std::string& expected) {
  if (leg.role == TlsRole::kServer) return explain_client_certificate(leg, certificate, code);
  const std::string whose = "target's certificate";
  switch (code) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return whose + " is for " + (certificate != nullptr ? names_of(certificate) : "another name") + ", expected " + expected +
             "; set tls.server_name to a name that it has, or tls.to_target: verify-ca to accept any that the CA signed";
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return whose +
             (certificate != nullptr ? " (" + subject_of(certificate) + ") expired on " + utc_text(not_after_of(certificate))
                                     : " has expired") +
             "; renew it at the target, or set this host's clock";
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return whose +
             (certificate != nullptr ? " is valid from " + utc_text(not_before_of(certificate)) : " is not yet valid") +
             "; is this host's clock behind?";
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
      return whose + " is signed by itself and is not in " + leg.trust +
             "; put it, or the CA that should have signed it, into tls.ca_file";
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
      return whose + " was signed by " + (certificate != nullptr ? issuer_of(certificate) : "a CA") + ", which is not in " +
             leg.trust + "; put that CA's certificate into tls.ca_file";
    default:
      return whose + " does not verify: " + X509_verify_cert_error_string(code);
  }
}

std::string explain_fault(const TlsLeg& leg, unsigned long code, bool is_ready) {
  const bool is_server = leg.role == TlsRole::kServer;
  const std::string peer = is_server ? "client" : "target";
  const int reason = ERR_GET_REASON(code);
  if (ERR_GET_LIB(code) == ERR_LIB_SSL) {
    if (reason >= SSL_AD_REASON_OFFSET) return explain_alert(leg, reason - SSL_AD_REASON_OFFSET, peer);
    switch (reason) {
      case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
        return "client showed no certificate, and this target admits nobody without one (libpq: sslcert and sslkey)";
      case SSL_R_HTTP_REQUEST:
      case SSL_R_HTTPS_PROXY_REQUEST:
        return peer + " sent HTTP where a TLS record was due";
      case SSL_R_WRONG_VERSION_NUMBER:
        if (!is_ready) return peer + " sent bytes that are no TLS record where the handshake was due";
        return peer + " sent bytes that are no TLS record";
      case SSL_R_UNSUPPORTED_PROTOCOL:
      case SSL_R_VERSION_TOO_LOW:
        return peer + " offers no TLS version from " + leg.minimum + " up (tls.minimum)";
      case SSL_R_NO_SHARED_CIPHER:
      case SSL_R_NO_SUITABLE_KEY_SHARE:
      case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
        return peer + " offers no cipher suite, group or signature that this gateway accepts" +
               (leg.is_own_pair ? " with the key in tls.key_file" : "");
      case SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC:
        return peer + " sent a record that does not decrypt: it was changed on the way, or " + peer + " is broken";
      case SSL_R_ENCRYPTED_LENGTH_TOO_LONG:
      case SSL_R_DATA_LENGTH_TOO_LONG:
      case SSL_R_PACKET_LENGTH_TOO_LONG:
      case SSL_R_EXCESSIVE_MESSAGE_SIZE:
        return peer + " sent a TLS record or message above the size that TLS allows";
      default:
        break;
    }
  }
  const char* words = ERR_reason_error_string(code);
  return "TLS with the " + peer + " failed" + (is_ready ? "" : " in the handshake") + ": " +
         (words != nullptr ? words : "no reason given");
}

}  // namespace weir::transport
