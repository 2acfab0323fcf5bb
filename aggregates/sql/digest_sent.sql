SELECT EXISTS (SELECT FROM digest WHERE channel = %(channel)s AND day = %(day)s)
