"""Whether mail is known to come from its From domain: DKIM signatures, DMARC, SPF and their DNS records.

Pure: it knows neither Flask nor the models, and is given its resolver. Its modules come with the merchants' domains.
"""
