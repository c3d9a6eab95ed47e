"""Which user ids are taken for placeholders that nobody filled in, and which are somebody's."""

from __future__ import annotations

import re

import pytest

from recallr_litellm.core.placeholders import is_placeholder


def listed(text: str) -> list[str]:
    """Ids that stand in lines, two spaces between them."""
    return re.split(r"\n|  +", text.strip())


TEMPLATES = listed("""
{{LIBRECHAT_USER_ID}}  {{user.id}}  {{ user.id }}  ={{$json.userId}}  {{}}  {%user%}  <%=user.id%>  [[${user.id}]]
${user.id}  #{user.id}  $(whoami)  user-${USER}  user-{user_id}  {userId}  {session.user_id}  {}  user-{0}
$USER_ID  $user  user-$USER_ID  $json.userId  %USERNAME%  user-%USERNAME%  %(user)s  user-%s  <user_id>  <your-user-id>
""")
UNSET = listed("""
undefined  null  NULL  None  nil  NaN  N/A  (null)  <nil>  [null]  "null"  'undefined'  ""  ()  <no value>
user-undefined  user_null  user:None  acme:null  acme/undefined/7  undefined@undefined  null-null
process.env.USER_ID  function()_{return_user.id}  ()=>user.id  Promise{<pending>}  &lt;user_id&gt;  %7B%7Buser.id%7D%7D
[object Object]  [object Promise]  [Function: getId]  <User object at 0x7f00>
""")
NAMES = listed("""
YOUR_USER_ID  your-user-id  your user id  <your user id>  INSERT_USER_ID_HERE  user_id  userId  userid
__USER_ID__  __user__  [user_id]  :userId
""")
IDS = listed(r"""
ana  0  42  x  user  user-42  user_abc  id-7  guest  anonymous  default  ana@x.example  *  -  a:b  日本語  👩‍👩‍👧
HOST$  pa$$word  $100  100%  caf%c3%a9  %C3%A9va  a{b  <@U123>  [ana]  __ana__  :ana  Ana Lee  Ana <ana@x.example>
3F2504E0-4F89-41D3-9A0C-0305E82C3301  {A0F504E0-4F89-41D3-9A0C-0305E82C3301}  {"device_id":"a","account_uuid":""}
user-550e8400-e29b-41d4-a716-446655440000  user_0a1b_account__session_9f  auth0|5f7c  google-oauth2:1234
jennifer.null  jennifer-null  null.jennifer  christopher.null@x.example  Nilsson  nanette  none-such  undefinable
arn:aws:iam::123:user/ana  did:plc:abc  S-1-5-21  CN=Ana,OU=x  the_dude  my-company  your-mum  enter-sandman  lastname
""")


@pytest.mark.parametrize("id", [*TEMPLATES, *UNSET, *NAMES, "", " ", "\u00a0"])
def test_what_nobody_filled_in_is_a_placeholder(id: str) -> None:
    assert is_placeholder(id)
    assert is_placeholder(f" {id.upper()}\t"), "in any case and with any white space around it"


@pytest.mark.parametrize("id", IDS)
def test_what_somebody_chose_is_an_id(id: str) -> None:
    assert not is_placeholder(id)
