// What is known to be tried against verifiers of tokens, as one table: every line is refused, for the reason that it names, and
// the honest token beside it is not.
#include <gmock/gmock.h>
#include <openssl/pem.h>

#include "identify/token_test_support.h"

namespace weir::identify::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// The issuer whose keys are trusted, and somebody else who has keys of the same names.
struct World {
  Issuer issuer, stranger;
  PrivateKey unnamed = make_ec("P-256");
};

// Parts of a token as an attacker puts them together.
std::string join(const std::string& header, const std::string& payload, const std::string& signature) {
  return header + "." + payload + "." + signature;
}
std::string replaced(const std::string& token, int part, const std::string& with) {
  const std::size_t first = token.find('.'), second = token.find('.', first + 1);
  if (part == 0) return with + token.substr(first);
  if (part == 1) return token.substr(0, first + 1) + with + token.substr(second);
  return token.substr(0, second + 1) + with;
}
std::string signature_of(const std::string& token) { return token.substr(token.rfind('.') + 1); }

std::string hmac_token(const World& world, const std::string& secret, const char* algorithm = "HS256",
                       const char* kid = "rsa") {
  const std::string input = encode(json{{"alg", algorithm}, {"kid", kid}}.dump()) + "." + encode(world.issuer.claims().dump());
  unsigned char mac[64];
  unsigned size = 0;
  HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()), reinterpret_cast<const unsigned char*>(input.data()),
       input.size(), mac, &size);
  return input + "." + encode_base64url(std::as_bytes(std::span(mac)).first(size));
}
std::string pem_of(EVP_PKEY* key) {
  BIO* memory = BIO_new(BIO_s_mem());
  PEM_write_bio_PUBKEY(memory, key);
  char* data = nullptr;
  const long size = BIO_get_mem_data(memory, &data);
  std::string pem(data, static_cast<std::size_t>(size));
  BIO_free(memory);
  return pem;
}

// Signed by the issuer's own key, with another algorithm than the header says.
std::string mismatched(const World& world, const char* says, Algorithm does) {
  const std::string input =
      encode(json{{"alg", says}, {"kid", world.issuer.kid_for(does)}}.dump()) + "." + encode(world.issuer.claims().dump());
  return input + "." + text_of(sign(world.issuer.key_for(does), does, input));
}

// ECDSA as OpenSSL writes it, not as JOSE does.
std::string der_signed(const World& world) {
  const std::string input = encode(R"({"alg":"ES256","kid":"p256"})") + "." + encode(world.issuer.claims().dump());
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  EVP_DigestSignInit(context, nullptr, EVP_sha256(), nullptr, world.issuer.p256.get());
  std::vector<std::byte> der(128);
  std::size_t size = der.size();
  EVP_DigestSign(context, reinterpret_cast<unsigned char*>(der.data()), &size,
                 reinterpret_cast<const unsigned char*>(input.data()), input.size());
  EVP_MD_CTX_free(context);
  der.resize(size);
  return input + "." + text_of(der);
}

// The issuer signs these: what a provider with a fault, or one that an attacker may feed, would give out.
std::string with_header(const World& world, const json& header) {
  return world.issuer.token(world.issuer.claims(), Algorithm::kEs256, header);
}
std::string with_claim(const World& world, const char* name, const json& value) {
  json claims = world.issuer.claims();
  claims[name] = value;
  return world.issuer.token(claims);
}
std::string without_claim(const World& world, const char* name) {
  json claims = world.issuer.claims();
  claims.erase(name);
  return world.issuer.token(claims);
}
std::string raw(const World& world, const std::string& payload, const std::string& header = R"({"alg":"ES256","kid":"p256"})") {
  return world.issuer.token_of_text(header, payload);
}
// Signed by the stranger, who brings the key along in the header.
std::string brought(const World& world, const char* name, const json& value, const char* kid = "p256") {
  return world.stranger.token(world.stranger.claims(), Algorithm::kEs256, {{"kid", kid}, {name, value}});
}

const std::string kGoodStart = R"({"iss":"https://idp.example","aud":"weir-lab","exp":1800003600,)";

struct Attack {
  const char* name;
  std::function<std::string(const World&)> token;
  const char* why;
  std::function<json(const World&)> keys = {};  // The set in force, where it is not the issuer's own.
};
void PrintTo(const Attack& attack, std::ostream* out) { *out << attack.name; }

std::vector<Attack> all() {
  return {
      // No signature, or one that anybody can make.
      {"None", [](const World& w) { return join(encode(R"({"alg":"none"})"), encode(w.issuer.claims().dump()), ""); },
       "algorithm"},
      {"NoneInMixedCase",
       [](const World& w) { return join(encode(R"({"alg":"nOnE","kid":"p256"})"), encode(w.issuer.claims().dump()), ""); },
       "algorithm"},
      {"NoneWithASignature",
       [](const World& w) { return replaced(w.issuer.token(), 0, encode(R"({"alg":"none","kid":"p256"})")); }, "algorithm"},
      {"NoAlgorithm", [](const World& w) { return raw(w, w.issuer.claims().dump(), R"({"kid":"p256"})"); },
       "names no algorithm"},
      {"AlgorithmNull",
       [](const World& w) {
         return with_header(w, {{"alg", nullptr}});
       },
       "names no algorithm"},
      {"AlgorithmNumber",
       [](const World& w) {
         return with_header(w, {{"alg", 256}});
       },
       "names no algorithm"},
      {"AlgorithmList",
       [](const World& w) {
         return with_header(w, {{"alg", json::array({"ES256"})}});
       },
       "names no algorithm"},
      {"AlgorithmEmpty",
       [](const World& w) {
         return with_header(w, {{"alg", ""}});
       },
       "algorithm"},
      {"AlgorithmLowerCase",
       [](const World& w) {
         return with_header(w, {{"alg", "es256"}});
       },
       "algorithm"},
      {"AlgorithmWithASpace",
       [](const World& w) {
         return with_header(w, {{"alg", "ES256 "}});
       },
       "algorithm"},
      {"AlgorithmWithANul",
       [](const World& w) {
         return with_header(w, {{"alg", std::string("ES256\0", 6)}});
       },
       "algorithm"},
      {"HmacWithTheModulus", [](const World& w) { return hmac_token(w, w.issuer.jwks()["keys"][0]["n"]); }, "algorithm"},
      {"HmacWithThePublicPem", [](const World& w) { return hmac_token(w, pem_of(w.issuer.rsa.get())); }, "algorithm"},
      {"HmacWithThePemOfTheCurve", [](const World& w) { return hmac_token(w, pem_of(w.issuer.p256.get()), "HS256", "p256"); },
       "algorithm"},
      {"HmacWithAnEmptyKey", [](const World& w) { return hmac_token(w, ""); }, "algorithm"},
      {"HmacCalledRs256", [](const World& w) { return hmac_token(w, pem_of(w.issuer.rsa.get()), "RS256"); }, "signature"},
      {"HmacWithAKeyOfTheSet", [](const World& w) { return hmac_token(w, "secret", "HS256", "hmac"); }, "algorithm",
       [](const World& w) {
         json set = w.issuer.jwks();
         set["keys"].push_back({{"kty", "oct"}, {"kid", "hmac"}, {"k", encode("secret")}});
         return set;
       }},
      // One algorithm for another.
      {"AlgorithmNotOfThisIssuer", [](const World& w) { return w.issuer.token(w.issuer.claims(), Algorithm::kRs512); },
       "not among those allowed"},
      {"PssCalledPkcs", [](const World& w) { return mismatched(w, "RS256", Algorithm::kPs256); }, "signature"},
      {"PkcsCalledPss", [](const World& w) { return mismatched(w, "PS256", Algorithm::kRs256); }, "signature"},
      {"Sha512CalledSha256", [](const World& w) { return mismatched(w, "RS256", Algorithm::kRs512); }, "signature"},
      {"RsaHeaderOnACurve", [](const World& w) { return mismatched(w, "RS256", Algorithm::kEs256); },
       "(kid) is not in the key set"},
      {"CurveHeaderOnRsa", [](const World& w) { return mismatched(w, "ES256", Algorithm::kRs256); },
       "(kid) is not in the key set"},
      {"AnotherCurve", [](const World& w) { return mismatched(w, "ES384", Algorithm::kEs256); }, "(kid) is not in the key set"},
      {"EdDsaHeaderOnACurve", [](const World& w) { return mismatched(w, "EdDSA", Algorithm::kEs256); },
       "(kid) is not in the key set"},
      {"KeyOfAnotherAlgorithm", [](const World& w) { return w.issuer.token(w.issuer.claims(), Algorithm::kPs256); },
       "(kid) is not in the key set",
       [](const World& w) {
         json set = w.issuer.jwks();
         set["keys"][0]["alg"] = "RS256";
         return set;
       }},
      // Which key.
      {"KidUnknown",
       [](const World& w) {
         return with_header(w, {{"kid", "gone"}});
       },
       "(kid) is not in the key set"},
      {"KidIsAPath",
       [](const World& w) {
         return with_header(w, {{"kid", "../../../../dev/null"}});
       },
       "(kid) is not in the key set"},
      {"KidIsAQuery",
       [](const World& w) {
         return with_header(w, {{"kid", "x' union select 'key"}});
       },
       "(kid) is not in the key set"},
      {"KidIsACommand",
       [](const World& w) {
         return with_header(w, {{"kid", "p256;id|"}});
       },
       "(kid) is not in the key set"},
      {"KidWithANul",
       [](const World& w) {
         return with_header(w, {{"kid", std::string("p256\0x", 6)}});
       },
       "(kid) is not in the key set"},
      {"KidNumber",
       [](const World& w) {
         return with_header(w, {{"kid", 1}});
       },
       "kid is not a string"},
      {"KidNull",
       [](const World& w) {
         return with_header(w, {{"kid", nullptr}});
       },
       "kid is not a string"},
      {"KidList",
       [](const World& w) {
         return with_header(w, {{"kid", json::array({"p256", "x"})}});
       },
       "kid is not a string"},
      {"TwoKeysAndNoKid", [](const World& w) { return raw(w, w.issuer.claims().dump(), R"({"alg":"ES256"})"); },
       "names no key (kid)",
       [](const World& w) {
         json set = w.issuer.jwks();
         json key = ec_jwk(w.unnamed.get(), "", "P-256", 32);
         key.erase("kid");
         set["keys"].push_back(key);
         return set;
       }},
      {"KeyForEncryption", [](const World& w) { return w.issuer.token(); }, "(kid) is not in the key set",
       [](const World& w) {
         json set = w.issuer.jwks();
         set["keys"][1]["use"] = "enc";
         return set;
       }},
      {"KeyThatMaySignOnly", [](const World& w) { return w.issuer.token(); }, "(kid) is not in the key set",
       [](const World& w) {
         json set = w.issuer.jwks();
         set["keys"][1]["key_ops"] = {"sign"};
         return set;
       }},
      {"KeySetOfSomebodyElse", [](const World& w) { return w.issuer.token(); }, "signature",
       [](const World& w) { return w.stranger.jwks(); }},
      {"SignedBySomebodyElse", [](const World& w) { return w.stranger.token(); }, "signature"},
      {"JwkInTheHeader", [](const World& w) { return brought(w, "jwk", ec_jwk(w.stranger.p256.get(), "p256", "P-256", 32)); },
       "signature"},
      {"JwkInTheHeaderUnderItsOwnName",
       [](const World& w) { return brought(w, "jwk", ec_jwk(w.stranger.p256.get(), "new", "P-256", 32), "new"); },
       "(kid) is not in the key set"},
      {"JkuInTheHeader", [](const World& w) { return brought(w, "jku", "https://evil.example/jwks", "theirs"); },
       "(kid) is not in the key set"},
      {"JkuBesideAKnownKid", [](const World& w) { return brought(w, "jku", "https://idp.example@evil.example/jwks"); },
       "signature"},
      {"X5uInTheHeader", [](const World& w) { return brought(w, "x5u", "https://evil.example/chain.pem"); }, "signature"},
      {"X5cInTheHeader", [](const World& w) { return brought(w, "x5c", json::array({"MIIB"})); }, "signature"},
      {"X5tInTheHeader", [](const World& w) { return brought(w, "x5t#S256", "abc"); }, "signature"},
      // The signature's own form.
      {"NoSignature", [](const World& w) { return replaced(w.issuer.token(), 2, ""); }, "signature"},
      {"SignatureCutShort",
       [](const World& w) {
         const std::string token = w.issuer.token();
         return token.substr(0, token.size() - 4);
       },
       "signature"},
      {"SignatureWithMoreBehind", [](const World& w) { return w.issuer.token() + "AAAA"; }, "signature"},
      {"SignatureOfZeros", [](const World& w) { return replaced(w.issuer.token(), 2, encode(std::string(64, '\0'))); },
       "signature"},
      {"SignatureOfOnes", [](const World& w) { return replaced(w.issuer.token(), 2, encode(std::string(64, '\xff'))); },
       "signature"},
      {"SignatureInDer", der_signed, "signature"},
      {"SignatureOfAnotherToken",
       [](const World& w) { return replaced(w.issuer.token(), 2, signature_of(with_claim(w, "sub", "bob"))); }, "signature"},
      {"SignatureHuge", [](const World& w) { return replaced(w.issuer.token(), 2, encode(std::string(8000, 'x'))); },
       "signature"},
      {"RsaSignatureWithAZeroInFront",
       [](const World& w) {
         const std::string token = w.issuer.token(w.issuer.claims(), Algorithm::kRs256);
         return replaced(token, 2, text_of([&] {
                           auto s = *decode_base64url(signature_of(token));
                           s.insert(s.begin(), std::byte{0});
                           return s;
                         }()));
       },
       "signature"},
      {"ClaimsChanged",
       [](const World& w) {
         json claims = w.issuer.claims();
         claims["sub"] = "root";
         return replaced(w.issuer.token(), 1, encode(claims.dump()));
       },
       "signature"},
      {"HeaderChanged",
       [](const World& w) { return replaced(w.issuer.token(), 0, encode(R"({"alg":"ES256","kid":"p256","x":1})")); },
       "signature"},
      // One text for one value.
      {"PaddedBase64", [](const World& w) { return w.issuer.token() + "=="; }, "signature"},
      {"Base64WithBitsBehind",
       [](const World& w) {
         std::string token = w.issuer.token();
         token.back() = token.back() == 'A' ? 'B' : static_cast<char>(token.back() + 1);
         return token;
       },
       "signature"},
      {"Base64OfTheOtherAlphabet",
       [](const World& w) { return replaced(w.issuer.token(), 2, "+/" + signature_of(w.issuer.token()).substr(2)); },
       "signature"},
      {"Base64WithANewLine",
       [](const World& w) { return replaced(w.issuer.token(), 0, encode(R"({"alg":"ES256"})").insert(4, "\n")); },
       "header is not base64url"},
      {"ALineBehind", [](const World& w) { return w.issuer.token() + "\n"; }, "signature"},
      {"BearerInFront", [](const World& w) { return "Bearer " + w.issuer.token(); }, "header is not base64url"},
      // Other things than a token.
      {"NestedToken", [](const World& w) { return raw(w, w.issuer.token(), R"({"alg":"ES256","kid":"p256","cty":"JWT"})"); },
       "payload is not usable"},
      {"NestedTokenAsJson",
       [](const World& w) { return raw(w, json(w.issuer.token()).dump(), R"({"alg":"ES256","kid":"p256","cty":"JWT"})"); },
       "payload is not usable"},
      {"EncryptedToken", [](const World&) { return std::string("eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..AAAA.AAAA.AAAA"); },
       "not of the form"},
      {"JsonSerialization",
       [](const World& w) {
         return json{{"payload", encode(w.issuer.claims().dump())}, {"signature", "AA"}}.dump();
       },
       "not of the form"},
      {"DetachedPayload", [](const World& w) { return replaced(w.issuer.token(), 1, ""); }, "payload is not usable"},
      {"UnencodedPayload",
       [](const World& w) {
         return with_header(w, {{"b64", false}, {"crit", json::array({"b64"})}});
       },
       "crit"},
      {"UnencodedPayloadWithoutCrit",
       [](const World& w) {
         return with_header(w, {{"b64", false}});
       },
       "crit"},
      {"CritUnknown",
       [](const World& w) {
         return with_header(w, {{"crit", json::array({"exp"})}, {"exp", 1}});
       },
       "crit"},
      {"CritEmpty",
       [](const World& w) {
         return with_header(w, {{"crit", json::array()}});
       },
       "crit"},
      {"CritNoList",
       [](const World& w) {
         return with_header(w, {{"crit", false}});
       },
       "crit"},
      {"LogoutToken",
       [](const World& w) {
         return with_header(w, {{"typ", "logout+jwt"}});
       },
       "typ"},
      {"ProofOfPossession",
       [](const World& w) {
         return with_header(w, {{"typ", "dpop+jwt"}});
       },
       "typ"},
      {"TypeNumber",
       [](const World& w) {
         return with_header(w, {{"typ", 1}});
       },
       "typ"},
      {"Compressed", [](const World& w) { return raw(w, "\x78\x9c\xab\x56", R"({"alg":"ES256","kid":"p256","zip":"DEF"})"); },
       "payload is not usable"},
      {"Huge", [](const World& w) { return with_claim(w, "x", std::string(kTokenSizeMax, 'x')); }, "larger than"},
      {"TooDeep",
       [](const World& w) {
         return raw(w, kGoodStart + R"("sub":"a","x":)" + std::string(40, '[') + std::string(40, ']') + "}");
       },
       "nested too deep"},
      {"HeaderIsAList", [](const World& w) { return raw(w, w.issuer.claims().dump(), "[]"); }, "header is not usable"},
      {"PayloadIsAList", [](const World& w) { return raw(w, "[" + w.issuer.claims().dump() + "]"); }, "payload is not usable"},
      {"PayloadIsNull", [](const World& w) { return raw(w, "null"); }, "payload is not usable"},
      {"PayloadIsANumber", [](const World& w) { return raw(w, "7"); }, "payload is not usable"},
      {"TwoPayloads", [](const World& w) { return raw(w, w.issuer.claims().dump() + w.issuer.claims().dump()); },
       "payload is not usable"},
      {"PayloadNotUtf8", [](const World& w) { return raw(w, kGoodStart + "\"sub\":\"a\xff\"}"); }, "payload is not usable"},
      {"PayloadWithAComment", [](const World& w) { return raw(w, kGoodStart + R"(/* "sub":"bob", */ "sub":"alice"})"); },
       "payload is not usable"},
      {"AlgorithmTwice",
       [](const World& w) { return raw(w, w.issuer.claims().dump(), R"({"alg":"none","kid":"p256","alg":"ES256"})"); },
       "a name twice"},
      {"SubjectTwice", [](const World& w) { return raw(w, kGoodStart + R"("sub":"alice","sub":"root"})"); }, "a name twice"},
      {"SubjectTwiceOnceEscaped", [](const World& w) { return raw(w, kGoodStart + R"("sub":"alice","s\u0075b":"root"})"); },
       "a name twice"},
      {"NameTwiceInAnInnerObject",
       [](const World& w) { return raw(w, kGoodStart + R"("sub":"alice","act":{"sub":"a","sub":"b"}})"); }, "a name twice"},
      // Claims.
      {"IssuerOfSomebodyElse", [](const World& w) { return with_claim(w, "iss", "https://evil.example"); }, "another issuer"},
      {"IssuerWithASlash", [](const World& w) { return with_claim(w, "iss", "https://idp.example/"); }, "another issuer"},
      {"IssuerInCapitals", [](const World& w) { return with_claim(w, "iss", "https://IDP.example"); }, "another issuer"},
      {"IssuerList", [](const World& w) { return with_claim(w, "iss", json::array({"https://idp.example"})); },
       "names no issuer"},
      {"IssuerNull", [](const World& w) { return with_claim(w, "iss", nullptr); }, "names no issuer"},
      {"IssuerMissing", [](const World& w) { return without_claim(w, "iss"); }, "names no issuer"},
      {"AudienceOfSomebodyElse", [](const World& w) { return with_claim(w, "aud", "other"); }, "aud"},
      {"AudienceWithAPrefix", [](const World& w) { return with_claim(w, "aud", "weir-lab.evil.example"); }, "aud"},
      {"AudienceEmptyList", [](const World& w) { return with_claim(w, "aud", json::array()); }, "aud"},
      {"AudienceNestedList", [](const World& w) { return with_claim(w, "aud", json::array({json::array({"weir-lab"})})); },
       "aud"},
      {"AudienceObject",
       [](const World& w) {
         return with_claim(w, "aud", {{"weir-lab", true}});
       },
       "aud"},
      {"AudienceNull", [](const World& w) { return with_claim(w, "aud", nullptr); }, "aud"},
      {"AudienceNumber", [](const World& w) { return with_claim(w, "aud", 7); }, "aud"},
      {"AudienceMissing", [](const World& w) { return without_claim(w, "aud"); }, "aud"},
      {"Expired", [](const World& w) { return with_claim(w, "exp", kNowNumber - 30); }, "expired"},
      {"ExpiryMissing", [](const World& w) { return without_claim(w, "exp"); }, "no end"},
      {"ExpiryText", [](const World& w) { return with_claim(w, "exp", std::to_string(kNowNumber + 100)); }, "not a time"},
      {"ExpiryNull", [](const World& w) { return with_claim(w, "exp", nullptr); }, "not a time"},
      {"ExpiryNegative", [](const World& w) { return with_claim(w, "exp", -1); }, "not a time"},
      {"ExpiryBeyondAnyClock", [](const World& w) { return with_claim(w, "exp", 1e300); }, "not a time"},
      {"ExpiryOverflow",
       [](const World& w) {
         return raw(w, R"({"iss":"https://idp.example","aud":"weir-lab","sub":"a","exp":18446744073709551616})");
       },
       "not a time"},
      {"ExpiryInfinite",
       [](const World& w) { return raw(w, R"({"iss":"https://idp.example","aud":"weir-lab","sub":"a","exp":1e999})"); },
       "payload is not usable"},
      {"NotYetValid", [](const World& w) { return with_claim(w, "nbf", kNowNumber + 31); }, "not valid yet"},
      {"NotBeforeList", [](const World& w) { return with_claim(w, "nbf", json::array({1})); }, "not a time"},
      {"IssuedInTheFuture", [](const World& w) { return with_claim(w, "iat", kNowNumber + 3600); }, "issued in the future"},
      {"IssuedAsText", [](const World& w) { return with_claim(w, "iat", "now"); }, "not a time"},
      {"SubjectMissing", [](const World& w) { return without_claim(w, "sub"); }, "names nobody"},
      {"SubjectNull", [](const World& w) { return with_claim(w, "sub", nullptr); }, "names nobody"},
      {"SubjectNumber", [](const World& w) { return with_claim(w, "sub", 0); }, "names nobody"},
      {"SubjectList", [](const World& w) { return with_claim(w, "sub", json::array({"alice"})); }, "names nobody"},
      {"SubjectEmpty", [](const World& w) { return with_claim(w, "sub", ""); }, "names nobody"},
      {"SubjectWithANul", [](const World& w) { return with_claim(w, "sub", std::string("alice\0x", 7)); }, "names nobody"},
      {"SubjectWithALine", [](const World& w) { return with_claim(w, "sub", "alice\nroot"); }, "names nobody"},
      {"SubjectHuge", [](const World& w) { return with_claim(w, "sub", std::string(256, 'a')); }, "names nobody"},
      {"GroupsNumber", [](const World& w) { return with_claim(w, "groups", 7); }, "groups"},
      {"GroupsOfAnObject",
       [](const World& w) {
         return with_claim(w, "groups", {{"dba", true}});
       },
       "groups"},
      {"GroupsWithANumber",
       [](const World& w) {
         return with_claim(w, "groups", json::array({"dba", 7}));
       },
       "groups"},
      {"GroupsWithoutEnd", [](const World& w) { return with_claim(w, "groups", std::vector<std::string>(257, "g")); },
       "more than 256 groups"},
      {"ActorText", [](const World& w) { return with_claim(w, "act", "root"); }, "delegation"},
      {"ActorNull", [](const World& w) { return with_claim(w, "act", nullptr); }, "delegation"},
      {"IdNumber", [](const World& w) { return with_claim(w, "jti", 7); }, "jti"},
      {"IdNull", [](const World& w) { return with_claim(w, "jti", nullptr); }, "jti"},
      {"Nothing", [](const World&) { return std::string(); }, "not of the form"},
      {"DotsAlone", [](const World&) { return std::string(".."); }, "payload is not usable"},
  };
}

class TokenAttack : public ::testing::TestWithParam<Attack> {
 protected:
  static void SetUpTestSuite() { world = std::make_unique<World>(); }
  static void TearDownTestSuite() { world.reset(); }
  static std::unique_ptr<World> world;
};
std::unique_ptr<World> TokenAttack::world;

TEST_P(TokenAttack, IsRefused) {
  IssuerConfig config = world->issuer.config;
  config.algorithms = {"RS256", "PS256", "ES256", "ES384", "EdDSA"};
  const auto keys = KeySet::parse(GetParam().keys ? GetParam().keys(*world).dump() : world->issuer.jwks().dump());
  ASSERT_TRUE(keys) << keys.error().message;
  const std::string token = GetParam().token(*world);
  const auto verified = verify_token(token, config, *keys, kNow);
  ASSERT_FALSE(verified) << "accepted as " << verified->subject;
  EXPECT_EQ(verified.error().kind, Error::Kind::kDenied);
  EXPECT_THAT(verified.error().message, HasSubstr("token refused: "));
  EXPECT_THAT(verified.error().message, HasSubstr(GetParam().why));
  for (std::size_t at = 0; at + 12 < token.size(); at += 8)
    EXPECT_THAT(verified.error().message, Not(HasSubstr(token.substr(at, 12))));
  // What keeps the bad one out lets the good one in.
  if (!GetParam().keys) {
    EXPECT_TRUE(verify_token(world->issuer.token(), config, *keys, kNow));
  }
}
INSTANTIATE_TEST_SUITE_P(Table, TokenAttack, ::testing::ValuesIn(all()),
                         [](const auto& about) { return std::string(about.param.name); });

// A set with a key that is too weak, or private, is none at all: its tokens have nothing to be checked with.
TEST(TokenAttackOnKeys, ASetWithAKeyThatMustNotBeThereIsNoSet) {
  const Issuer issuer;
  json weak = issuer.jwks(), leaked = issuer.jwks();
  weak["keys"].push_back(rsa_jwk(make_rsa(1024).get(), "weak"));
  leaked["keys"][1]["d"] = "AAAA";
  EXPECT_THAT(KeySet::parse(weak.dump()).error().message, HasSubstr("too weak"));
  EXPECT_THAT(KeySet::parse(leaked.dump()).error().message, HasSubstr("private key"));
}

}  // namespace
}  // namespace weir::identify::testing
