"""Passwords that are among the first that anybody tries, as far as they have twelve characters or more."""

REFUSED = frozenset(
    """
    password1234 password12345 password123456 passwordpassword password2024! password2025! password2026! passw0rd1234
    p@ssword1234 p@ssw0rd1234 mypassword123 newpassword1 newpassword123 changemechangeme changeme1234 changeme12345
    123456789012 1234567890123 12345678901234 123456789012345 1234567890123456 123123123123 121212121212 112233445566
    098765432109 987654321098 111222333444 qwertyuiop12 qwertyuiop123 qwertyuiop[] qwertyuiopas qwertyuiopasdf
    qwertyqwerty qwerty123456 qwerty1234567 1q2w3e4r5t6y 1q2w3e4r5t6y7u 1qaz2wsx3edc 1qaz2wsx3edc4rfv qazwsxedcrfv
    zaq12wsxcde3 asdfghjkl123 asdfghjkl;'# zxcvbnm12345 qweasdzxc123 abcdefghijkl abcdefghijklm abcd1234abcd abc123abc123
    abcdef123456 iloveyou1234 iloveyouforever administrator administrator1 adminadmin12 adminadminadmin admin1234567
    admin12345678 welcome12345 welcome123456 letmeinletmein letmein12345 trustno1trustno1 sunshine1234 princess1234
    football1234 baseball1234 dragon123456 monkey123456 superman1234 batman123456 starwars1234 michael12345 charlie12345
    correcthorsebatterystaple correct horse battery staple thisisapassword thequickbrownfox secretsecret secret123456
    supersecret1 supersecret123 topsecret123 testtesttest test12345678 testing12345 temporary123 temppassword temppassword1
    defaultpassword default12345 rootrootroot root12345678 guestguest123 masterpassword master123456 summer2024!! summer2025!!
    winter2024!! winter2025!! spring2025!! autumn2025!! company12345 computer1234 internet1234 whatever1234 godisgood123
    """.split()  # noqa: SIM905 - one word after the other reads better
)
