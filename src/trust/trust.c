/* The words of RFC 8601 2.7. */
#include "trust/trust.h"

const char *trust_result_name(enum trust_result r)
{
	static const char *const names[] = {
		[TRUST_NONE] = "none",		 [TRUST_PASS] = "pass",
		[TRUST_FAIL] = "fail",		 [TRUST_SOFTFAIL] = "softfail",
		[TRUST_NEUTRAL] = "neutral",	 [TRUST_POLICY] = "policy",
		[TRUST_TEMPERROR] = "temperror", [TRUST_PERMERROR] = "permerror",
	};

	return names[r];
}
